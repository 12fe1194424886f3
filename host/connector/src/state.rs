//! States of a record's plan and of its calls.

use serde::{Deserialize, Serialize};

use sluice_model::{Code, Name};

macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $state:ident = $text:literal,)* } else $other:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum $name {
            $($(#[$of])* $state,)*
        }

        impl $name {
            /// Returns the name of the state, as it is stored and shown.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$state => $text,)* }
            }

            /// Returns the state with this name.
            pub fn parse(text: &str) -> Self {
                match text { $($text => Self::$state,)* _ => Self::$other }
            }
        }
    };
}

states! {
    /// State of a record's plan.
    EntityState {
        /// Some of its calls are still to be made.
        Open = "open",
        /// It needs a value of another record's response that does not exist yet.
        Waiting = "waiting",
        /// All of its calls are made.
        Done = "done",
        /// A call failed for good.
        Failed = "failed",
        /// A client has decided to leave it as it is.
        Abandoned = "abandoned",
        /// Its calls were rolled back.
        Undone = "undone",
    } else Open
}

states! {
    /// State of a call.
    CallState {
        /// Sent, and no response is known. Before it is sent again, the platform is asked if it happened.
        Sent = "sent",
        /// It happened.
        Done = "done",
        /// The platform refused it for good.
        Failed = "failed",
        /// A client has decided to skip it.
        Skipped = "skipped",
        /// It was rolled back.
        Undone = "undone",
    } else Sent
}

/// Decision of a client about a record's plan.
///
/// | state | leads out of it |
/// |---|---|
/// | `open` | the next import; `abandon` |
/// | `waiting` | the next import, once the other record has its answer; `retry`, which also sends skipped calls again; `abandon` |
/// | `done` | an undo job; `retry`, if a call was skipped |
/// | `failed` | `retry`, `skip`, `abandon` |
/// | `abandoned` | `retry`; `skip`, if a call failed; an undo job |
/// | `undone` | `retry` |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LedgerDecision {
    /// Send the failed call again, and the skipped calls whose answers are needed. Of a record whose calls were rolled back,
    /// all calls are sent again.
    Retry,
    /// Skip the failed call, and continue with the next. A call that was made before its record changed stays as it is.
    Skip,
    /// Leave the record as it is.
    Abandon,
}

/// A record's plan in the ledger.
#[derive(Clone, Debug)]
pub struct LedgerLine {
    /// Kind of the plan.
    pub kind: Name,
    /// Reference id of the record.
    pub id: [u8; 16],
    /// State of the plan.
    pub state: EntityState,
    /// Step that failed.
    pub step: Option<Name>,
    /// Code of the failure.
    pub code: Option<Code>,
    /// HTTP status with which the platform refused it.
    pub status: Option<u16>,
    /// Time of the last change.
    pub at: String,
    /// Number of its calls that have happened.
    pub calls: u64,
}

impl CallState {
    /// Returns true if nothing more is sent for the call.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Done | Self::Skipped)
    }

    /// Returns true if the call may have created something on the platform.
    pub fn may_have_happened(self) -> bool {
        matches!(self, Self::Sent | Self::Done)
    }
}
