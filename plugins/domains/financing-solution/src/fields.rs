//! Table of fields of an agreement.

use sluice_sdk::schema::{Entity, Field, Kind, MAX_TERM, MAX_TEXT, NAME, optional, required};

/// Entity types of the domain.
pub const ENTITIES: &[Entity] = &[Entity {
    name: "agreements",
    fields: &[
        required("referenceId", Kind::ReferenceId),
        required("agreementNumber", NAME),
        required("status", Kind::OneOf(&["draft", "active", "closed", "defaulted"])),
        required("startDate", Kind::Date),
        optional("purpose", Kind::Text(MAX_TEXT)),
        required("borrowers", Kind::List(&Kind::Object(BORROWER), 1)),
        required("facilities", Kind::List(&Kind::Object(FACILITY), 1)),
    ],
    at_least_one: &[],
    amounts: &["facilities[].amount"],
    counts: &[("TotalAgreements", "status")],
}];

const BORROWER: &[Field] = &[
    required("counterpartyReferenceId", Kind::Reference("counterparties")),
    required("role", Kind::OneOf(&["main", "co"])),
];

const FACILITY: &[Field] = &[
    required("referenceId", Kind::Id),
    required("amount", Kind::Money),
    optional("interest", Kind::Object(INTEREST)),
    required("termInMonths", Kind::Integer(1, MAX_TERM)),
    required("repaymentMethod", Kind::OneOf(&["annuity", "linear", "bullet", "interest-only"])),
    optional("firstRepaymentDate", Kind::Date),
    optional("withdrawal", Kind::OneOf(&["single", "construction"])),
];

const INTEREST: &[Field] =
    &[optional("type", Kind::OneOf(&["fixed", "variable"])), optional("percentage", Kind::Decimal(0, 100))];
