//! Table of fields of a counterparty.

use sluice_sdk::schema::{ADDRESS, Entity, Field, Kind, MAX_NAME, MAX_TEXT, NAME, optional, required};

const PERSON: &[&str] = &["person"];
const ORGANISATION: &[&str] = &["organisation"];

/// Entity types of the domain.
pub const ENTITIES: &[Entity] = &[Entity {
    name: "counterparties",
    fields: &[
        required("referenceId", Kind::ReferenceId),
        required("type", Kind::OneOf(&["person", "organisation"])),
        optional("isActive", Kind::Boolean),
        required("initials", NAME).only_if("type", PERSON),
        optional("firstName", NAME).only_if("type", PERSON),
        required("surname", NAME).only_if("type", PERSON),
        optional("birthDate", Kind::Date).only_if("type", PERSON),
        optional("nationalities", Kind::List(&Kind::Country, 0)).only_if("type", PERSON),
        required("name", NAME).only_if("type", ORGANISATION),
        optional("registrationNumber", NAME).only_if("type", ORGANISATION),
        optional("income", Kind::MoneyWith(INCOME)),
        optional("telephoneNumbers", Kind::List(&Kind::Object(TELEPHONE_NUMBER), 0)),
        optional("emailAddresses", Kind::List(&Kind::Email, 0)),
        optional("externalReferences", Kind::List(&Kind::Object(EXTERNAL_REFERENCE), 0)),
        optional("ratings", Kind::List(&Kind::Object(RATING), 0)),
        optional("addresses", Kind::List(&Kind::Object(ADDRESS), 0)),
        optional("relations", Kind::List(&Kind::Object(RELATION), 0)),
        optional("associatedParties", Kind::List(&Kind::Reference("counterparties"), 0)),
    ],
    at_least_one: &[],
    amounts: &[],
    counts: &[("TotalCounterparties", "type")],
}];

const INCOME: &[Field] = &[
    required("amount", Kind::Decimal(0, i64::MAX)),
    required("currency", Kind::Currency),
    optional("frequency", Kind::OneOf(&["annual", "monthly"])),
];

const TELEPHONE_NUMBER: &[Field] = &[optional("type", NAME), optional("number", NAME)];

const EXTERNAL_REFERENCE: &[Field] =
    &[optional("system", Kind::IdentifierKind(MAX_NAME)), optional("value", Kind::Identifier(MAX_TEXT))];

const RATING: &[Field] = &[optional("agency", NAME), optional("value", NAME)];

const RELATION: &[Field] = &[required("to", Kind::Reference("counterparties")), required("type", NAME)];
