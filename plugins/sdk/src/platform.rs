//! A platform plugin: the trait its author implements, what a plan is made of, and what drives it.

use serde::Deserialize;

use crate::bindings::platform::exports::sluice::plugin::calling;
use crate::bindings::types::{Batch, Context};
use crate::json::{Key, Node, parts};
use crate::{Finding, Id, batch};

pub use calling::Flow;

/// The calls by which records get into a platform.
pub trait Platform: 'static {
    /// What it says of itself.
    fn describe() -> calling::Description;

    /// Plans the calls for one record and those that go with it.
    fn plan(bundle: &Bundle, plan: &mut Plan) -> Result<(), Finding>;
}

/// A record, those that go with it, and what is set for the platform.
pub struct Bundle<'a> {
    /// The kind that is planned.
    pub kind: &'a str,
    /// Which flow.
    pub flow: Flow,
    body: &'a [u8],
    settings: &'a [(String, String)],
}

impl<'a> Bundle<'a> {
    /// Reads it: a struct with `record` and a list for each companion. It was validated, so a misfit is the plugin's
    /// mistake.
    pub fn parse<T: Deserialize<'a>>(&self) -> T {
        serde_json::from_slice(self.body).expect("a staged record fits its table of fields")
    }

    /// The value of a setting.
    pub fn setting(&self, name: &str) -> Option<&'a str> {
        self.settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The plan of one record, in the making.
#[derive(Default)]
pub struct Plan {
    calls: Vec<calling::Call>,
    saved: Vec<String>,
    expectations: Vec<calling::Expectation>,
}

/// One call, in the making.
pub struct Call(calling::Call);

impl Call {
    /// A call of this step about a thing at the platform, at this path; paths are literal, or ids of our own.
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

    /// Its body.
    pub fn body(mut self, body: Node) -> Self {
        self.0.body = parts(body);
        self
    }

    /// Keeps a field of its answer under a name.
    pub fn keeps(mut self, field: &str, name: impl ToString) -> Self {
        self.0.keeps.push((field.into(), name.to_string()));
        self
    }

    /// It happened if there is something at this path.
    pub fn found_at(mut self, path: impl ToString) -> Self {
        self.0.check = calling::Check::Found(path.to_string());
        self
    }

    /// It happened if what is at this path has another value in this field.
    pub fn changed_at(mut self, path: impl ToString, field: &str, from: &str) -> Self {
        self.0.check = calling::Check::Changed((path.to_string(), field.into(), from.into()));
        self
    }

    /// It happened if an item listed at this path has this value in this field.
    pub fn listed_at(mut self, path: impl ToString, field: &str, value: impl ToString) -> Self {
        self.0.check = calling::Check::Listed((path.to_string(), field.into(), value.to_string()));
        self
    }

    /// How it is taken back.
    pub fn undone_by(mut self, method: &str, path: Vec<Node>, body: Option<Node>) -> Self {
        let body = body.map(parts).unwrap_or_default();
        self.0.undo = Some(calling::Undo { method: method.into(), path: crate::json::path(path), body });
        self
    }
}

impl Plan {
    /// Adds a call after those before.
    pub fn call(&mut self, call: Call) {
        self.calls.push(call.0);
    }

    /// Notes that this flow does without a call of this step.
    pub fn save(&mut self, step: &str) {
        self.saved.push(step.into());
    }

    /// Notes what is to be found afterwards.
    pub fn expect(&mut self, query: &str, id: impl ToString, group: &str, amounts: &[rust_decimal::Decimal]) {
        self.expectations.push(calling::Expectation {
            query: query.into(),
            id: id.to_string(),
            group: group.into(),
            amounts: amounts.iter().map(ToString::to_string).collect(),
        });
    }
}

/// What an earlier call for this record has kept.
pub fn answer(kind: &str, of: Id, name: impl ToString) -> Node {
    Node::Answer(Key { kind: kind.into(), id: of, name: name.to_string() })
}

#[doc(hidden)]
pub mod driver {
    use super::*;

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

/// Makes the type that implements [`Platform`] the component's platform plugin.
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
