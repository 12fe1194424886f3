//! Properties of the checks of plugins' output, for tests and fuzzing: accepted output fits its input, and refused output
//! has a cause and a message.

use super::wire::{
    Batch, TallyEntry, WireCallStep, WireGenerated, WireImportPlan, WireImportStep, WireIssue, WireKind,
    WireMapperDescription, WireOperation, WirePlatformDescription, WireQuery, WireSkipped, WireSource, WireTransformed,
    WireValidated,
};
use arbitrary::{Result, Unstructured};

use super::arbitrary_plugin::ArbitraryPlugin;
use super::call_plan::CallPart;
use super::description::{check_domain, check_mapper};
use super::failure::Cause;
use super::output_validation::{
    OutputCheck, check_calls, check_generated, check_steps, check_transformed, check_validated, issue, slice, unpack,
};
use super::platform::check_platform;
use super::vocabulary::Vocabulary;
use sluice_config::PluginLimits;
use sluice_model::UNDECLARED_CODE;

/// Maximum number of records in a batch of which every part is checked.
const MAX_PACKED: usize = 24;

/// Checks batches: the host unpacks the records that a plugin packs, and every part of them. Ends that do not fit the
/// bytes are refused.
pub fn check_batches(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let lengths: Vec<usize> = std::iter::from_fn(|| input.arbitrary::<u8>().ok())
        .take(MAX_PACKED.min(data.len() / 3))
        .map(usize::from)
        .collect();
    let mut rest = input.take_rest();
    let mut packed = sluice_sdk::BatchBuilder::default();
    let mut records = vec![];
    for length in lengths {
        let (record, after) = rest.split_at(length.min(rest.len()));
        packed.push(record);
        records.push(record);
        rest = after;
    }
    assert_eq!(packed.len(), records.len());
    let packed = packed.finish();
    let batch = Batch { bytes: packed.bytes, ends: packed.ends };
    assert_eq!(unpack(&batch).as_ref(), Some(&records));
    for start in 0..=records.len() {
        for end in start..=records.len() {
            let (bytes, ends) = slice(&batch.bytes, &batch.ends, &(start..end));
            assert_eq!(unpack(&Batch { bytes, ends }), Some(records[start..end].to_vec()));
        }
    }
    // The same bytes with arbitrary ends.
    let ends: Vec<u32> = rest.chunks(2).map(|two| u32::from(two[0]) << (two[two.len() - 1] % 32)).collect();
    let batch = Batch { bytes: data.to_vec(), ends };
    let fits = batch.ends.is_sorted() && batch.ends.last().copied().unwrap_or(0) as usize == batch.bytes.len();
    assert_eq!(unpack(&batch).map(|records| records.concat()), fits.then(|| data.to_vec()));
}

/// Checks results: each is accepted or refused with a cause, and an accepted one fits its input.
pub fn check_answers(data: &[u8]) {
    // An exhausted input ends the check.
    let _ = check_result(&mut Unstructured::new(data));
}

fn check_result(input: &mut Unstructured) -> Result<()> {
    let limits = PluginLimits { output_items: 12, output_bytes: 60, ..PluginLimits::default() };
    let records = input.int_in_range(0..=3)?;
    match input.int_in_range(0..=6)? {
        0 => transformed(&mut ArbitraryPlugin(input), records, &limits),
        1 => validated(&mut ArbitraryPlugin(input), records, &limits),
        2 => steps(&mut ArbitraryPlugin(input), records, &limits),
        3 => generated(&mut ArbitraryPlugin(input), records, &limits),
        4 | 5 => calls(&mut ArbitraryPlugin(input), records, &limits),
        _ => descriptions(&mut ArbitraryPlugin(input)),
    }
}

/// Returns an accepted result. Checks the cause and the message of a refused one.
fn accepted<T>(fits: OutputCheck<T>) -> Option<T> {
    let refused = |(cause, message): (Cause, String)| {
        assert!(
            matches!(cause, Cause::BrokeContract | Cause::TooMuchOutput) && !message.is_empty(),
            "{cause:?}: {message}"
        );
    };
    fits.map_err(refused).ok()
}

/// Returns a mapper whose vocabulary has some of the generator's words.
fn mapper() -> WireMapperDescription {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let (name, key, lookups) = ("client".into(), texts(&["name"]), vec![]);
    WireMapperDescription {
        name: "given".into(),
        version: "1".into(),
        sources: vec![WireSource { name, key, lookups, fields: texts(&["amount", "Nováková"]) }],
        entity_types: texts(&["counterparties", "loans"]),
        codes: texts(&["GIVEN_CODE"]),
    }
}

/// Checks that issues are shown in declared words and with their position in the whole batch.
fn check_issues(said: &[WireIssue], records: usize, vocabulary: &Vocabulary) {
    const START: u32 = 1_000;
    let mut undeclared = vec![];
    for said in said {
        let (position, shown) = issue(said, START, "client", vocabulary, &mut undeclared);
        assert!(position >= START && ((position - START) as usize) < records);
        let mut more = vec![];
        assert_eq!(vocabulary.path("client", &shown.field, 0, &mut more), shown.field);
        assert_eq!(vocabulary.code(&shown.code, None, &mut more), shown.code);
        assert!(more.is_empty() || shown.code == UNDECLARED_CODE, "{shown:?}");
        assert!(*shown.code == *said.code || shown.code == UNDECLARED_CODE, "{shown:?}");
    }
    assert!(undeclared.len() <= 3 * said.len());
}

fn transformed(plugin: &mut ArbitraryPlugin, records: usize, limits: &PluginLimits) -> Result<()> {
    let skipped =
        |plugin: &mut ArbitraryPlugin| Ok(WireSkipped { code: plugin.word()?, positions: plugin.positions()? });
    let (produced, skipped) = (plugin.list(3, ArbitraryPlugin::produced)?, plugin.list(3, skipped)?);
    let answer = WireTransformed { produced, skipped, issues: plugin.issues()? };
    let (description, vocabulary) = check_mapper(mapper()).expect("it is a description");
    if accepted(check_transformed(&answer, records, &description, limits)).is_none() {
        return Ok(());
    }
    let mut bytes = 0;
    for produced in &answer.produced {
        let bodies = unpack(&produced.records).expect("it was taken");
        assert_eq!(bodies.len(), produced.origins.len());
        assert!(produced.origins.iter().all(|origin| (*origin as usize) < records));
        assert!(["counterparties", "loans"].contains(&&*produced.entity_type));
        bytes += bodies.concat().len();
    }
    assert!(bytes <= limits.output_bytes);
    assert!(answer.skipped.iter().flat_map(|skipped| &skipped.positions).all(|at| (*at as usize) < records));
    check_issues(&answer.issues, records, &vocabulary);
    Ok(())
}

fn validated(plugin: &mut ArbitraryPlugin, records: usize, limits: &PluginLimits) -> Result<()> {
    let tally = |plugin: &mut ArbitraryPlugin| {
        let (position, rule, amount) = (plugin.position()?, plugin.position()?, plugin.0.arbitrary()?);
        Ok(TallyEntry { position, rule, key: (1, 2), amount, limit: plugin.0.arbitrary()? })
    };
    let (issues, tallies) = (plugin.issues()?, plugin.list(3, tally)?);
    let ids = vec![plugin.0.arbitrary()?; records * 16 + usize::from(plugin.0.ratio(1, 10)?)];
    let answer = WireValidated { ids, issues, tallies };
    if accepted(check_validated(&answer, records, 2, limits)).is_some() {
        assert_eq!(answer.ids.chunks_exact(16).len(), records);
        assert!(answer.ids.chunks_exact(16).remainder().is_empty());
        assert!(answer.tallies.iter().all(|tally| tally.rule < 2 && (tally.position as usize) < records));
        check_issues(&answer.issues, records, &check_mapper(mapper()).expect("it is a description").1);
    }
    Ok(())
}

fn steps(plugin: &mut ArbitraryPlugin, records: usize, limits: &PluginLimits) -> Result<()> {
    let step = |plugin: &mut ArbitraryPlugin| {
        Ok(WireImportStep { position: plugin.position()?, operation: WireOperation::Store })
    };
    let answer = WireImportPlan { steps: plugin.list(4, step)?, bodies: plugin.batch()?, issues: plugin.issues()? };
    if accepted(check_steps(&answer, records, limits)).is_some() {
        assert_eq!(unpack(&answer.bodies).map(|bodies| bodies.len()), Some(answer.steps.len()));
        assert!(answer.steps.iter().all(|step| (step.position as usize) < records));
        check_issues(&answer.issues, records, &check_mapper(mapper()).expect("it is a description").1);
    }
    Ok(())
}

fn generated(plugin: &mut ArbitraryPlugin, records: usize, limits: &PluginLimits) -> Result<()> {
    let answer = WireGenerated { produced: plugin.list(3, ArbitraryPlugin::produced)?, issues: plugin.issues()? };
    if accepted(check_generated(&answer, "loans", records, limits)).is_some() {
        for produced in &answer.produced {
            assert_eq!(produced.entity_type, "loans");
            assert_eq!(unpack(&produced.records).map(|bodies| bodies.len()), Some(produced.origins.len()));
        }
        check_issues(&answer.issues, records, &check_mapper(mapper()).expect("it is a description").1);
    }
    Ok(())
}

/// Returns a platform with two steps in a fixed order.
fn platform() -> WirePlatformDescription {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let step = |name: &str, after: &[&str]| WireCallStep {
        name: name.into(),
        method: "POST".into(),
        path: "/clients".into(),
        after: texts(after),
    };
    let kind = WireKind {
        name: "loans".into(),
        entity_type: "loans".into(),
        companions: vec![],
        fields: texts(&["name", "amount"]),
        steps: vec![step("step", &[]), step("after", &["step"])],
    };
    let query = WireQuery {
        name: "query".into(),
        method: "POST".into(),
        path: "/clients".into(),
        body: String::new(),
        id: "name".into(),
        group: "group".into(),
        groups: vec![("group".into(), "name".into())],
        amounts: vec![("amount".into(), "amount".into())],
    };
    let (name, version, idempotency_header) = ("given".into(), "1".into(), "key".into());
    let (kinds, queries, codes) = (vec![kind], vec![query], texts(&["GIVEN_CODE"]));
    let (settings, headers, error_codes, requests, notes) = (vec![], vec![], "errors".into(), vec![], vec![]);
    let (already, busy, refusals) = (vec![], vec![], vec![]);
    WirePlatformDescription {
        name,
        version,
        kinds,
        settings,
        queries,
        headers,
        idempotency_header,
        error_codes,
        already,
        busy,
        refusals,
        codes,
        requests,
        notes,
    }
}

/// Checks that accepted plans use plain paths only, in the order of the description.
fn calls(plugin: &mut ArbitraryPlugin, records: usize, limits: &PluginLimits) -> Result<()> {
    let (description, _) = check_platform(platform()).expect("it is a description");
    let (plans, issues) = (plugin.list(2, ArbitraryPlugin::plan)?, plugin.issues()?);
    let of = (&description.kinds[0], &description);
    let Some(plans) = accepted(check_calls(plans, &issues, records, of, limits)) else { return Ok(()) };
    for plan in plans {
        assert!((plan.position as usize) < records);
        for call in &plan.calls {
            check_path(&call.path);
            call.undo.iter().for_each(|undo| check_path(&undo.path));
            assert_eq!(plan.calls.iter().filter(|other| other.id == call.id).count(), 1, "{}", call.id);
        }
        for expectation in &plan.expectations {
            assert_eq!(expectation.amounts.len(), description.queries[expectation.query].amounts.len());
        }
    }
    Ok(())
}

fn check_path(path: &[CallPart]) {
    let text: String = path
        .iter()
        .map(|piece| match piece {
            CallPart::Constant(text) | CallPart::Value(text) => text.as_str(),
            CallPart::Answer { .. } => "answer-1",
        })
        .collect();
    assert!(matches!(&path[0], CallPart::Constant(text) if text.starts_with('/')), "{path:?}");
    assert!(!text.contains("..") && !text.contains(['?', '#', '%', '\\', ' ']), "{path:?}");
}

/// Checks that accepted descriptions have proper names without duplicates.
fn descriptions(plugin: &mut ArbitraryPlugin) -> Result<()> {
    let proper =
        |name: &str| !name.is_empty() && !name.contains(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c));
    if let Ok((description, _)) = check_mapper(plugin.mapper()?) {
        assert!(proper(&description.name) && description.sources.iter().all(|source| proper(&source.name)));
        let mut names: Vec<&str> = description.sources.iter().map(|source| &*source.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), description.sources.len());
        assert!(description.sources.iter().all(|source| !source.key.is_empty()));
    }
    if let Ok((description, _)) = check_domain(plugin.domain()?) {
        for generation in &description.generations {
            assert!(generation.after.iter().all(|after| proper(after) && *after != generation.entity_type));
        }
        assert!(!description.entity_types.is_empty());
        for entity_type in &description.entity_types {
            assert!(proper(&entity_type.name) && entity_type.columns.iter().all(|column| proper(&column.name)));
        }
    }
    if let Ok((description, _)) = check_platform(plugin.platform()?) {
        assert!(!description.kinds.is_empty() && proper(&description.name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Checks the seeds of fuzzing and inputs of earlier failures.
    #[test]
    fn seeds() {
        sluice_test_seeds::seeds("batches").iter().for_each(|seed| check_batches(seed));
        sluice_test_seeds::seeds("answers").iter().for_each(|seed| check_answers(seed));
    }

    proptest! {
        #[test]
        fn batches(data in prop::collection::vec(0u8..20, 0..120)) {
            check_batches(&data);
        }

        #[test]
        fn answers(data in prop::collection::vec(any::<u8>(), 0..400)) {
            check_answers(&data);
        }
    }
}
