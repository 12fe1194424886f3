//! How a record's plan stands, and each of its calls.

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
            /// As it is kept and shown.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$state => $text,)* }
            }

            /// The state that is kept so.
            pub fn parse(text: &str) -> Self {
                match text { $($text => Self::$state,)* _ => Self::$other }
            }
        }
    };
}

states! {
    /// How a record's plan stands.
    EntityState {
        /// Not all of its calls are made.
        Open = "open",
        /// Another record's answer that it needs is not there.
        Waiting = "waiting",
        /// All of its calls are made.
        Done = "done",
        /// A call failed for good.
        Failed = "failed",
        /// Somebody decided to leave it as it is.
        Abandoned = "abandoned",
        /// What its calls made was taken back.
        Undone = "undone",
    } else Open
}

states! {
    /// How a call stands.
    CallState {
        /// Sent, and not known to have been answered: it is asked whether it happened before it is sent again.
        Sent = "sent",
        /// It happened.
        Done = "done",
        /// The platform refused it for good.
        Failed = "failed",
        /// Somebody decided to do without it.
        Skipped = "skipped",
        /// It was taken back.
        Undone = "undone",
    } else Sent
}

/// What somebody decides of a record whose plan has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Send the failed call again.
    Retry,
    /// Do without the failed call, and go on with the next.
    Skip,
    /// Leave it as it is.
    Abandon,
}

/// A record's plan, as the ledger has it.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its kind.
    pub kind: Name,
    /// The record.
    pub id: [u8; 16],
    /// How it stands.
    pub state: EntityState,
    /// The step that failed.
    pub step: Option<Name>,
    /// Why.
    pub code: Option<Code>,
    /// The status with which the platform refused it.
    pub status: Option<u16>,
    /// When that was noted.
    pub at: String,
    /// How many of its calls have happened.
    pub calls: u64,
}

impl CallState {
    /// Whether nothing more is sent for it.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Done | Self::Skipped)
    }

    /// Whether there may be something at the platform that the call has made.
    pub fn may_have_happened(self) -> bool {
        matches!(self, Self::Sent | Self::Done)
    }
}
