//! Checks in `cargo test` that a plugin names only codes and fields that its description declares. The host does not
//! show undeclared names, because they could be values of a record. With these checks the author finds them before
//! customers do.

use std::collections::BTreeSet;

use crate::bindings::domain::exports::sluice::plugin::validation;
use crate::bindings::mapper::exports::sluice::plugin::mapping;
use crate::bindings::types::Issue;

/// Returns the platform's codes. Plugins need not declare them.
fn platform_codes() -> impl Iterator<Item = &'static str> {
    let lines = include_str!("../../../wit/codes.txt").lines();
    lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_whitespace().next())
}

/// The codes and names of fields that a plugin may name.
pub(crate) struct Declarations {
    codes: BTreeSet<String>,
    fields: BTreeSet<String>,
}

impl Declarations {
    /// Returns a mapper's declarations for records of this source.
    pub fn of_mapper(description: &mapping::Description, source: &str) -> Self {
        let of_source = description.sources.iter().filter(|known| known.name == source);
        let names = of_source.flat_map(|source| source.key.iter().chain(&source.lookups).chain(&source.fields));
        Self { codes: codes(&description.codes), fields: names.cloned().collect() }
    }

    /// Returns a domain plugin's declarations for records of this entity type, and for the records that it is generated
    /// from.
    pub fn of_domain(description: &validation::Description, entity_type: &str) -> Self {
        let of_type = description.entity_types.iter().filter(|known| known.name == entity_type);
        let of_source = description.generations.iter().filter(|known| known.entity_type == entity_type);
        let names = of_type.flat_map(|known| &known.fields).chain(of_source.flat_map(|known| &known.fields));
        let mut codes = codes(&description.codes);
        codes.extend(description.tally_rules.iter().map(|rule| rule.code.clone()));
        Self { codes, fields: names.cloned().collect() }
    }

    /// Panics if the code is not declared.
    pub fn assert_code(&self, code: &str) {
        assert!(
            self.codes.contains(code),
            "the code {code} is not declared: the host would show UNDECLARED_CODE. Declare it with `.code(\"{code}\")` \
             in a mapper's description or in `CODES` of a domain plugin"
        );
    }

    /// Panics if the issue names a code or field that is not declared.
    pub fn assert_issue(&self, issue: &Issue) {
        self.assert_code(&issue.code);
        issue.rule.iter().for_each(|rule| self.assert_code(rule));
        let names = issue.field.split('.').map(|step| step.split('[').next().unwrap_or_default());
        let mut names: Vec<&str> = names.filter(|name| !name.is_empty() && *name != "?").collect();
        if issue.code == "UNKNOWN_FIELD" {
            // The last name is a name of the record, which the plugin cannot declare.
            names.pop();
        }
        for name in names {
            assert!(
                self.fields.contains(name),
                "the field {name} is not declared: the host would show ?. Declare it with `.reads::<T>()` or \
                 `.fields(&[\"{name}\"])` after its source in a mapper's description"
            );
        }
    }
}

/// Returns these codes and the platform's.
fn codes(declared: &[String]) -> BTreeSet<String> {
    declared.iter().cloned().chain(platform_codes().map(str::to_owned)).collect()
}
