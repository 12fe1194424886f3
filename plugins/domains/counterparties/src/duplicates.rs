//! Warnings of people and organisations that may be in a migration twice.

use std::borrow::Cow;

use sluice_sdk::prelude::*;
use sluice_sdk::{Checked, Findings, TallyRule};

/// Rules over many records, in the order of their indexes.
pub(crate) const RULES: &[TallyRule] = &[
    TallyRule::warning("POSSIBLE_DUPLICATE_PERSON", "surname"),
    TallyRule::warning("POSSIBLE_DUPLICATE_ORGANISATION", "name"),
];

/// Index of the rule in the plugin's tally rules.
const PERSON: usize = 0;
/// Index of the rule in the plugin's tally rules.
const ORGANISATION: usize = 1;

reads! {
    #[serde(rename_all = "camelCase")]
    struct Party<'a> {
        #[serde(borrow)]
        initials: Option<Cow<'a, str>>,
        #[serde(borrow)]
        first_name: Option<Cow<'a, str>>,
        #[serde(borrow)]
        surname: Option<Cow<'a, str>>,
        birth_date: Option<Date>,
        #[serde(borrow)]
        name: Option<Cow<'a, str>>,
        #[serde(borrow)]
        registration_number: Option<Cow<'a, str>>,
    }
}

/// Adds a tally of what identifies a person or organisation outside the old system. A person is identified by surname,
/// first letter and day of birth, and without a day of birth not at all. An organisation is identified by its
/// registration number, or else by its name.
pub(crate) fn tally(record: &Checked, findings: &mut Findings) {
    let party: Party = record.parse();
    let (rule, key) = match (&party.surname, party.birth_date, &party.registration_number, &party.name) {
        (Some(surname), Some(birth_date), ..) => {
            let first = party.first_name.as_ref().or(party.initials.as_ref());
            let first = first.and_then(|name| name.chars().find(|letter| letter.is_alphabetic()));
            let first = first.map(|letter| letter.to_lowercase().collect::<String>()).unwrap_or_default();
            (PERSON, format!("{}\n{first}\n{birth_date}", letters(surname)))
        }
        (_, _, Some(number), _) => (ORGANISATION, format!("number\n{}", letters(number))),
        (.., Some(name)) => (ORGANISATION, format!("name\n{}", letters(name))),
        _ => return,
    };
    findings.tally(rule, record.reference_id("counterparties", key), 1, 1);
}

/// Returns the letters and digits of a text in lower case, so that points, hyphens and spaces make no difference.
fn letters(text: &str) -> String {
    text.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
