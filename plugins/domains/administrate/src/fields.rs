//! Table of fields of a payment administration.

use sluice_sdk::schema::{Entity, Field, Kind, MAX_TERM, optional, required};

/// Entity types of the domain.
pub const ENTITIES: &[Entity] = &[Entity {
    name: "payment-administrations",
    fields: &[
        required("referenceId", Kind::ReferenceId),
        required("agreementReferenceId", Kind::Reference("agreements")),
        required("facilityReferenceId", Kind::Id),
        required("outstandingPrincipal", Kind::Money),
        optional("installments", Kind::List(&Kind::Object(INSTALLMENT), 0)),
    ],
    at_least_one: &[],
    amounts: &["outstandingPrincipal"],
    counts: &[],
}];

const INSTALLMENT: &[Field] = &[
    required("number", Kind::Integer(1, MAX_TERM)),
    required("dueDate", Kind::Date),
    required("principal", Kind::Money),
    required("interest", Kind::Money),
];
