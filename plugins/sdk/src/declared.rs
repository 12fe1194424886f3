//! What a plugin may say, held to its description in `cargo test`, so that its author and not its customers find
//! out: the host shows nothing that is not declared, as it could have come out of a record.

use std::collections::BTreeSet;

use crate::bindings::domain::exports::sluice::plugin::validation;
use crate::bindings::mapper::exports::sluice::plugin::mapping;
use crate::bindings::types::Issue;

/// The platform's codes, which need no declaration.
fn platform_codes() -> impl Iterator<Item = &'static str> {
    let lines = include_str!("../../../wit/codes.txt").lines();
    lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_whitespace().next())
}

/// Codes and names of fields.
pub(crate) struct Declared {
    codes: BTreeSet<String>,
    fields: BTreeSet<String>,
}

impl Declared {
    /// By a mapper, for records of this source.
    pub fn by_mapper(description: &mapping::Description, source: &str) -> Self {
        let of_source = description.sources.iter().filter(|known| known.name == source);
        let names = of_source.flat_map(|source| source.key.iter().chain(&source.lookups).chain(&source.fields));
        Self { codes: codes(&description.codes), fields: names.cloned().collect() }
    }

    /// By a domain plugin, for records of this entity type, or for what generates it.
    pub fn by_domain(description: &validation::Description, entity_type: &str) -> Self {
        let of_type = description.entity_types.iter().filter(|known| known.name == entity_type);
        let of_source = description.generations.iter().filter(|known| known.entity_type == entity_type);
        let names = of_type.flat_map(|known| &known.fields).chain(of_source.flat_map(|known| &known.fields));
        let mut codes = codes(&description.codes);
        codes.extend(description.tally_rules.iter().map(|rule| rule.code.clone()));
        Self { codes, fields: names.cloned().collect() }
    }

    /// Ends the test at a code that is not declared.
    pub fn hold_code(&self, code: &str) {
        assert!(
            self.codes.contains(code),
            "the code {code} is not declared: the host would show UNDECLARED_CODE. Add it to the description, with \
             `.code(\"{code}\")` in a mapper or in `CODES` of a domain"
        );
    }

    /// Ends the test at an issue that says what is not declared.
    pub fn hold_issue(&self, issue: &Issue) {
        self.hold_code(&issue.code);
        issue.rule.iter().for_each(|rule| self.hold_code(rule));
        let names = issue.field.split('.').map(|step| step.split('[').next().unwrap_or_default());
        let mut names: Vec<&str> = names.filter(|name| !name.is_empty() && *name != "?").collect();
        if issue.code == "UNKNOWN_FIELD" {
            // This one is the record's own, and nobody can declare it.
            names.pop();
        }
        for name in names {
            assert!(
                self.fields.contains(name),
                "the field {name} is not declared: the host would show ?. Add it to the description, with \
                 `.reads::<T>()` or `.fields(&[\"{name}\"])` after its source in a mapper"
            );
        }
    }
}

fn codes(declared: &[String]) -> BTreeSet<String> {
    declared.iter().cloned().chain(platform_codes().map(str::to_owned)).collect()
}
