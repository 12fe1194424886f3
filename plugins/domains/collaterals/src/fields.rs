//! Tables of fields of collaterals and collateral objects.

use sluice_sdk::schema::{ADDRESS, Entity, Field, Kind, NAME, optional, required};

/// Entity types of the domain.
pub const ENTITIES: &[Entity] = &[
    Entity {
        name: "collateral-objects",
        fields: &[
            required("referenceId", Kind::ReferenceId),
            required("type", Kind::OneOf(&["residential-property", "commercial-property", "vehicle", "other"])),
            optional("address", Kind::Object(ADDRESS)),
            optional("valuations", Kind::List(&Kind::Object(VALUATION), 0)),
        ],
        at_least_one: &[],
        amounts: &["valuations[].value"],
        counts: &[("TotalCollateralObjects", "type")],
    },
    Entity {
        name: "collaterals",
        fields: &[
            required("referenceId", Kind::ReferenceId),
            required("type", Kind::OneOf(&["mortgage", "pledge", "guarantee", "non-registered"])),
            required("collateralDefinitionCode", NAME),
            optional("isPerfect", Kind::Boolean),
            required("agreementReferenceIds", Kind::List(&Kind::Reference("agreements"), 1)),
            required("counterpartyReferenceIds", Kind::List(&Kind::Reference("counterparties"), 1)),
            optional("registeredMortgageEntries", Kind::List(&Kind::Object(MORTGAGE_ENTRY), 0))
                .only_if("type", &["mortgage"]),
        ],
        at_least_one: &[],
        amounts: &["registeredMortgageEntries[].amount"],
        counts: &[("TotalCollaterals", "type")],
    },
];

const VALUATION: &[Field] = &[required("date", Kind::Date), required("value", Kind::Money)];

const MORTGAGE_ENTRY: &[Field] = &[
    optional("isAlreadyPledged", Kind::Boolean),
    required("rank", Kind::Integer(1, i32::MAX as i64)),
    optional("amount", Kind::Money),
    required("collateralObjectReferenceId", Kind::Reference("collateral-objects")),
];
