//! Conversions from the bindings to the plain types of [`sluice_contract::wire`]. They move records and copy none.

use sluice_contract::wire;

use crate::bindings::domain::exports::sluice::plugin::{importing, validation};
use crate::bindings::mapper::exports::sluice::plugin::mapping;
use crate::bindings::platform::exports::sluice::plugin::calling;
use crate::bindings::types;

impl From<types::Batch> for wire::Batch {
    fn from(from: types::Batch) -> Self {
        Self { bytes: from.bytes, ends: from.ends }
    }
}

impl From<types::Context> for wire::Context {
    fn from(from: types::Context) -> Self {
        Self { migration: from.migration, registered_on: from.registered_on }
    }
}

impl From<types::Severity> for wire::WireSeverity {
    fn from(from: types::Severity) -> Self {
        match from {
            types::Severity::Error => Self::Error,
            types::Severity::Warning => Self::Warning,
        }
    }
}

impl From<types::Issue> for wire::WireIssue {
    fn from(from: types::Issue) -> Self {
        Self {
            position: from.position,
            severity: from.severity.into(),
            code: from.code,
            field: from.field,
            rule: from.rule,
        }
    }
}

impl From<types::Produced> for wire::WireProduced {
    fn from(from: types::Produced) -> Self {
        Self { entity_type: from.entity_type, records: from.records.into(), origins: from.origins }
    }
}

impl From<mapping::Source> for wire::WireSource {
    fn from(from: mapping::Source) -> Self {
        Self { name: from.name, key: from.key, lookups: from.lookups, fields: from.fields }
    }
}

impl From<mapping::Description> for wire::WireMapperDescription {
    fn from(from: mapping::Description) -> Self {
        Self {
            name: from.name,
            version: from.version,
            sources: from.sources.into_iter().map(Into::into).collect(),
            entity_types: from.entity_types,
            codes: from.codes,
        }
    }
}

impl From<mapping::Skipped> for wire::WireSkipped {
    fn from(from: mapping::Skipped) -> Self {
        Self { code: from.code, positions: from.positions }
    }
}

impl From<mapping::Transformed> for wire::WireTransformed {
    fn from(from: mapping::Transformed) -> Self {
        Self {
            produced: from.produced.into_iter().map(Into::into).collect(),
            skipped: from.skipped.into_iter().map(Into::into).collect(),
            issues: from.issues.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<validation::ColumnKind> for wire::ColumnKind {
    fn from(from: validation::ColumnKind) -> Self {
        match from {
            validation::ColumnKind::Text => Self::Text,
            validation::ColumnKind::Integer => Self::Integer,
            validation::ColumnKind::Decimal => Self::Decimal,
            validation::ColumnKind::Boolean => Self::Boolean,
            validation::ColumnKind::Date => Self::Date,
            validation::ColumnKind::Id => Self::Id,
            validation::ColumnKind::Json => Self::Json,
        }
    }
}

impl From<validation::Column> for wire::WireColumn {
    fn from(from: validation::Column) -> Self {
        Self { name: from.name, path: from.path, kind: from.kind.into() }
    }
}

impl From<validation::Reference> for wire::Reference {
    fn from(from: validation::Reference) -> Self {
        Self { path: from.path, entity_type: from.entity_type }
    }
}

impl From<validation::EntityType> for wire::WireEntityType {
    fn from(from: validation::EntityType) -> Self {
        Self {
            name: from.name,
            columns: from.columns.into_iter().map(Into::into).collect(),
            references: from.references.into_iter().map(Into::into).collect(),
            amounts: from.amounts,
            fields: from.fields,
        }
    }
}

impl From<validation::CountGroup> for wire::WireCountGroup {
    fn from(from: validation::CountGroup) -> Self {
        Self { name: from.name, entity_type: from.entity_type, field: from.field, values: from.values }
    }
}

impl From<validation::TallyRule> for wire::WireTallyRule {
    fn from(from: validation::TallyRule) -> Self {
        Self { code: from.code, severity: from.severity.into(), field: from.field }
    }
}

impl From<validation::Generation> for wire::WireGeneration {
    fn from(from: validation::Generation) -> Self {
        Self { entity_type: from.entity_type, source: from.source, after: from.after, fields: from.fields }
    }
}

impl From<validation::Description> for wire::WireDomainDescription {
    fn from(from: validation::Description) -> Self {
        Self {
            name: from.name,
            version: from.version,
            domain: from.domain,
            entity_types: from.entity_types.into_iter().map(Into::into).collect(),
            count_groups: from.count_groups.into_iter().map(Into::into).collect(),
            tally_rules: from.tally_rules.into_iter().map(Into::into).collect(),
            generations: from.generations.into_iter().map(Into::into).collect(),
            codes: from.codes,
        }
    }
}

impl From<validation::Tally> for wire::TallyEntry {
    fn from(from: validation::Tally) -> Self {
        Self { position: from.position, rule: from.rule, key: from.key, amount: from.amount, limit: from.limit }
    }
}

impl From<validation::Validated> for wire::WireValidated {
    fn from(from: validation::Validated) -> Self {
        Self {
            ids: from.ids,
            issues: from.issues.into_iter().map(Into::into).collect(),
            tallies: from.tallies.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<importing::Operation> for wire::WireOperation {
    fn from(from: importing::Operation) -> Self {
        match from {
            importing::Operation::Store => Self::Store,
        }
    }
}

impl From<importing::Step> for wire::WireImportStep {
    fn from(from: importing::Step) -> Self {
        Self { position: from.position, operation: from.operation.into() }
    }
}

impl From<importing::Planned> for wire::WireImportPlan {
    fn from(from: importing::Planned) -> Self {
        Self {
            steps: from.steps.into_iter().map(Into::into).collect(),
            bodies: from.bodies.into(),
            issues: from.issues.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<importing::Generated> for wire::WireGenerated {
    fn from(from: importing::Generated) -> Self {
        Self {
            produced: from.produced.into_iter().map(Into::into).collect(),
            issues: from.issues.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<calling::Companion> for wire::WireCompanion {
    fn from(from: calling::Companion) -> Self {
        Self { entity_type: from.entity_type, field: from.field }
    }
}

impl From<calling::Step> for wire::WireCallStep {
    fn from(from: calling::Step) -> Self {
        Self { name: from.name, method: from.method, path: from.path, after: from.after }
    }
}

impl From<calling::Kind> for wire::WireKind {
    fn from(from: calling::Kind) -> Self {
        Self {
            name: from.name,
            entity_type: from.entity_type,
            companions: from.companions.into_iter().map(Into::into).collect(),
            fields: from.fields,
            steps: from.steps.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<calling::Setting> for wire::WireSetting {
    fn from(from: calling::Setting) -> Self {
        Self { name: from.name, required: from.required }
    }
}

impl From<calling::Query> for wire::WireQuery {
    fn from(from: calling::Query) -> Self {
        Self {
            name: from.name,
            method: from.method,
            path: from.path,
            body: from.body,
            id: from.id,
            group: from.group,
            groups: from.groups,
            amounts: from.amounts,
        }
    }
}

impl From<calling::Description> for wire::WirePlatformDescription {
    fn from(from: calling::Description) -> Self {
        Self {
            name: from.name,
            version: from.version,
            kinds: from.kinds.into_iter().map(Into::into).collect(),
            settings: from.settings.into_iter().map(Into::into).collect(),
            queries: from.queries.into_iter().map(Into::into).collect(),
            headers: from.headers,
            idempotency_header: from.idempotency_header,
            error_codes: from.error_codes,
            already: from.already,
            busy: from.busy,
            refusals: from.refusals,
            codes: from.codes,
            requests: from.requests,
            notes: from.notes,
        }
    }
}

impl From<calling::Answer> for wire::WireAnswer {
    fn from(from: calling::Answer) -> Self {
        Self { kind: from.kind, id: from.id, name: from.name }
    }
}

impl From<calling::Part> for wire::WirePart {
    fn from(from: calling::Part) -> Self {
        match from {
            calling::Part::Constant(value) => Self::Constant(value),
            calling::Part::Value(value) => Self::Value(value),
            calling::Part::Answer(value) => Self::Answer(value.into()),
        }
    }
}

impl From<calling::Check> for wire::WireCheck {
    fn from(from: calling::Check) -> Self {
        match from {
            calling::Check::Repeat => Self::Repeat,
            calling::Check::Found(value) => Self::Found(value),
            calling::Check::Changed(value) => Self::Changed(value),
            calling::Check::Listed(value) => Self::Listed(value),
        }
    }
}

impl From<calling::Undo> for wire::WireUndo {
    fn from(from: calling::Undo) -> Self {
        Self {
            method: from.method,
            path: from.path.into_iter().map(Into::into).collect(),
            body: from.body.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<calling::Call> for wire::WireCall {
    fn from(from: calling::Call) -> Self {
        Self {
            step: from.step,
            subject: from.subject,
            id: from.id,
            path: from.path.into_iter().map(Into::into).collect(),
            body: from.body.into_iter().map(Into::into).collect(),
            keeps: from.keeps,
            check: from.check.into(),
            undo: from.undo.map(Into::into),
        }
    }
}

impl From<calling::Expectation> for wire::WireExpectation {
    fn from(from: calling::Expectation) -> Self {
        Self { query: from.query, id: from.id, group: from.group, amounts: from.amounts }
    }
}

impl From<calling::EntityPlan> for wire::WireEntityPlan {
    fn from(from: calling::EntityPlan) -> Self {
        Self {
            position: from.position,
            calls: from.calls.into_iter().map(Into::into).collect(),
            saved: from.saved,
            expectations: from.expectations.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<calling::Planned> for wire::WireCallPlans {
    fn from(from: calling::Planned) -> Self {
        Self {
            plans: from.plans.into_iter().map(Into::into).collect(),
            issues: from.issues.into_iter().map(Into::into).collect(),
        }
    }
}
