//! Platform plugins: the trait that an author implements, the builders of a plan, and the driver that calls the plugin
//! batch by batch.

use serde::Deserialize;

use crate::bindings::platform::exports::sluice::plugin::calling;
use crate::bindings::types::{Batch, Context};
use crate::json::{Key, Node, parts};
use crate::{Finding, Id, batch};

pub use calling::Flow;

/// A platform plugin: it plans the API calls that enter records into a platform.
pub trait Platform: 'static {
    /// Returns the description of the plugin.
    fn describe() -> calling::Description;

    /// Plans the calls for one main record and its companion records.
    fn plan(bundle: &Bundle, plan: &mut Plan) -> Result<(), Finding>;
}

/// A main record, its companion records, and the settings of the platform.
pub struct Bundle<'a> {
    /// Name of the kind that is planned.
    pub kind: &'a str,
    /// Variant of the call sequence.
    pub flow: Flow,
    body: &'a [u8],
    settings: &'a [(String, String)],
}

impl<'a> Bundle<'a> {
    /// Reads the bundle as `T`: a struct with the main record in `record`, and a list for each companion.
    ///
    /// # Panics
    ///
    /// If the bundle does not fit `T`. The records are validated, so `T` contradicts their tables of fields.
    pub fn parse<T: Deserialize<'a>>(&self) -> T {
        serde_json::from_slice(self.body).expect("a staged record must fit the type that a plan reads")
    }

    /// Returns the value of a setting. Returns none if it is not configured.
    pub fn setting(&self, name: &str) -> Option<&'a str> {
        self.settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A builder of the plan of one record.
#[derive(Default)]
pub struct Plan {
    calls: Vec<calling::Call>,
    saved: Vec<String>,
    expectations: Vec<calling::Expectation>,
}

/// A builder of a call.
pub struct Call(calling::Call);

impl Call {
    /// Creates a call. `step` is the name of its step, `subject` the id of the platform's object that it is about, and
    /// `id` its own id, unique in the plan. By default a repeated call is harmless, and the call has no body and no
    /// undo.
    ///
    /// # Panics
    ///
    /// If a piece of `path` is neither a text nor a value of an earlier response.
    pub fn new(step: &str, subject: impl ToString, id: impl ToString, path: Vec<Node>) -> Self {
        Self(calling::Call {
            step: step.into(),
            subject: subject.to_string(),
            id: id.to_string(),
            path: crate::json::path(path),
            body: vec![],
            keeps: vec![],
            check: calling::Check::Repeat,
            undo: None,
        })
    }

    /// Sets the body.
    pub fn body(mut self, body: Node) -> Self {
        self.0.body = parts(body);
        self
    }

    /// Keeps a field of the response under a name.
    pub fn keeps(mut self, field: &str, name: impl ToString) -> Self {
        self.0.keeps.push((field.into(), name.to_string()));
        self
    }

    /// Sets the check: the call happened if something exists at this path.
    pub fn found_at(mut self, path: impl ToString) -> Self {
        self.0.check = calling::Check::Found(path.to_string());
        self
    }

    /// Sets the check: the call happened if the object at this path has another value than `from` in this field.
    pub fn changed_at(mut self, path: impl ToString, field: &str, from: &str) -> Self {
        self.0.check = calling::Check::Changed((path.to_string(), field.into(), from.into()));
        self
    }

    /// Sets the check: the call happened if an item of the list at this path has this value in this field.
    pub fn listed_at(mut self, path: impl ToString, field: &str, value: impl ToString) -> Self {
        self.0.check = calling::Check::Listed((path.to_string(), field.into(), value.to_string()));
        self
    }

    /// Sets the call that takes this one back.
    ///
    /// # Panics
    ///
    /// If a piece of `path` is neither a text nor a value of an earlier response.
    pub fn undone_by(mut self, method: &str, path: Vec<Node>, body: Option<Node>) -> Self {
        let body = body.map(parts).unwrap_or_default();
        self.0.undo = Some(calling::Undo { method: method.into(), path: crate::json::path(path), body });
        self
    }
}

impl Plan {
    /// Appends a call.
    pub fn call(&mut self, call: Call) {
        self.calls.push(call.0);
    }

    /// Records that the plan saves a call of this step.
    pub fn save(&mut self, step: &str) {
        self.saved.push(step.into());
    }

    /// Adds an item that the platform must have after the import: the query that finds it, its id, its group (empty if
    /// the query has none), and its amounts in the order of the query's amounts.
    pub fn expect(&mut self, query: &str, id: impl ToString, group: &str, amounts: &[rust_decimal::Decimal]) {
        self.expectations.push(calling::Expectation {
            query: query.into(),
            id: id.to_string(),
            group: group.into(),
            amounts: amounts.iter().map(ToString::to_string).collect(),
        });
    }
}

/// Returns a value that the host kept, under this name, from the response to an earlier call in the plan of record
/// `of`.
pub fn answer(kind: &str, of: Id, name: impl ToString) -> Node {
    Node::Answer(Key { kind: kind.into(), id: of, name: name.to_string() })
}

/// The driver of a platform plugin: the exports of its component.
#[doc(hidden)]
pub mod driver {
    use super::*;

    /// Plans a batch.
    pub fn plan<P: Platform>(
        _context: &Context,
        settings: &[(String, String)],
        flow: Flow,
        kind: &str,
        records: &Batch,
    ) -> calling::Planned {
        let mut planned = calling::Planned { plans: vec![], issues: vec![] };
        for (position, body) in (0..).zip(batch::unpack(records)) {
            let mut plan = Plan::default();
            match P::plan(&Bundle { kind, flow, body, settings }, &mut plan) {
                Ok(()) => {
                    let Plan { calls, saved, expectations } = plan;
                    planned.plans.push(calling::EntityPlan { position, calls, saved, expectations });
                }
                Err(finding) => planned.issues.push(finding.at(position)),
            }
        }
        planned
    }
}

/// Exports the type that implements [`Platform`] as the component's platform plugin.
#[macro_export]
macro_rules! platform {
    ($platform:ty) => {
        const _: () = {
            use $crate::__export::bindings::platform::exports::sluice::plugin::calling;
            use $crate::__export::{install_panic_hook, platform};
            use $crate::bindings::types::{Batch, Context};

            struct Component;
            impl calling::Guest for Component {
                fn describe() -> calling::Description {
                    install_panic_hook();
                    <$platform as $crate::Platform>::describe()
                }
                fn plan(
                    context: Context,
                    settings: Vec<(String, String)>,
                    flow: calling::Flow,
                    kind: String,
                    records: Batch,
                ) -> calling::Planned {
                    install_panic_hook();
                    platform::plan::<$platform>(&context, &settings, flow, &kind, &records)
                }
            }
            #[cfg(target_family = "wasm")]
    $crate::bindings::platform::export_platform!(Component with_types_in $crate::bindings::platform);
        };
    };
}
