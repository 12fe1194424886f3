//! Tables of fields of disbursements, repayments, additional repayments and debit mandates.

use sluice_sdk::schema::{Entity, Kind, NAME, optional, required};

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
            required("amount", Kind::Money),
            optional("administrationFee", Kind::Money),
        ],
        amounts: &["amount"],
        counts: &[("TotalAdditionalRepayments", "status")],
    },
    Entity {
        name: "debit-mandates",
        fields: &[
            required("referenceId", Kind::ReferenceId),
            required("agreementReferenceId", Kind::Reference("agreements")),
            required("counterpartyReferenceId", Kind::Reference("counterparties")),
            required("scheme", Kind::OneOf(&["SEPA", "ACH", "DOMESTIC"])),
            required("type", Kind::OneOf(&["b2b", "b2c"])),
            required("debtorAccount", NAME),
            optional("amount", Kind::Money),
            optional("signedDate", Kind::Date),
        ],
        amounts: &["amount"],
        counts: &[("TotalDebitMandates", "scheme")],
    },
];
