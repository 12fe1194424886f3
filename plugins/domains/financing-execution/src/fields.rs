//! Tables of fields of disbursements, repayments, additional repayments and debit mandates.

use sluice_sdk::schema::{Entity, Field, Kind, NAME, optional, required};

/// Entity types of the domain.
pub const ENTITIES: &[Entity] = &[
    Entity {
        name: "disbursements",
        fields: &[
            required("referenceId", Kind::ReferenceId),
            required("agreementReferenceId", Kind::Reference("agreements")),
            required("facilityReferenceId", Kind::Id),
            required("effectiveDate", Kind::Date),
            required("amount", Kind::Money),
        ],
        at_least_one: &[],
        amounts: &["amount"],
        counts: &[],
    },
    Entity {
        name: "repayments",
        fields: &[
            required("referenceId", Kind::ReferenceId),
            required("agreementReferenceId", Kind::Reference("agreements")),
            required("effectiveDate", Kind::Date),
            required("amount", Kind::Money),
        ],
        at_least_one: &[],
        amounts: &["amount"],
        counts: &[],
    },
    Entity {
        name: "additional-repayments",
        fields: &[
            required("referenceId", Kind::ReferenceId),
            required("agreementReferenceId", Kind::Reference("agreements")),
            optional("processReferenceId", Kind::Id),
            required("status", Kind::OneOf(&["Draft", "Final"])),
            required(
                "type",
                Kind::OneOf(&["repayment-from-construction-deposit", "early-repayment", "full-repayment"]),
            ),
            required("effectiveDate", Kind::Date),
            optional("requestReceivedDate", Kind::Date),
            optional("amount", Kind::Money),
            optional("facilities", Kind::List(&Kind::Object(REPAID_FACILITY), 1)),
            optional("administrationFee", Kind::Money),
        ],
        at_least_one: &["amount", "facilities"],
        amounts: &["amount", "facilities[].amount"],
        counts: &[("TotalAdditionalRepayments", "status")],
    },
    Entity {
        name: "debit-mandates",
        fields: &[
            required("referenceId", Kind::ReferenceId),
            required("agreementReferenceId", Kind::Reference("agreements")),
            required("counterpartyReferenceId", Kind::Reference("counterparties")),
            // `DOMESTIC` is Sluice's own: a mandate in the country's own scheme.
            required("scheme", Kind::OneOf(&["SEPA", "ACH", "DOMESTIC"])),
            // `BTB` means the same as `b2b`, and `BTC` the same as `b2c`.
            required("type", Kind::OneOf(&["b2b", "b2c", "BTB", "BTC"])),
            required("debtorAccount", NAME),
            optional("amount", Kind::Money),
            optional("signedDate", Kind::Date),
        ],
        at_least_one: &[],
        amounts: &["amount"],
        counts: &[("TotalDebitMandates", "scheme")],
    },
];

/// Fields of the part of an additional repayment that is for one facility.
const REPAID_FACILITY: &[Field] = &[required("facilityReferenceId", Kind::Id), required("amount", Kind::Money)];
