//! Arbitrary output of a plugin: descriptions and results that are sometimes meaningful.

use super::wire::{
    Batch, ColumnKind, WireAnswer, WireCall, WireCallStep, WireCheck, WireColumn, WireCountGroup,
    WireDomainDescription, WireEntityPlan, WireEntityType, WireExpectation, WireGeneration, WireIssue, WireKind,
    WireMapperDescription, WirePart, WirePlatformDescription, WireProduced, WireQuery, WireSeverity, WireSource,
    WireTallyRule, WireUndo,
};
use arbitrary::{Result, Unstructured};

/// Meaningful texts, and others.
const WORDS: &[&str] = &[
    "client",
    "counterparties",
    "loans",
    "name",
    "amount",
    "name[0].amount",
    "GIVEN_CODE",
    "INVALID_FORMAT",
    "UNKNOWN",
    "",
    "?",
    ".",
    "..",
    "/clients",
    "/clients/",
    "POST",
    "step",
    "after",
    "query",
    "group",
    "1.50",
    "-1e9",
    "99999999999999999999999999999999999",
    "Nováková",
    "name[99999]",
    "name[",
    "a b",
    "{\"a\":1}",
    "/x?y=1",
    "//x",
    "id-1",
];

/// A generator of arbitrary output.
pub struct ArbitraryPlugin<'c, 'd>(
    /// Remaining input.
    pub &'c mut Unstructured<'d>,
);

impl ArbitraryPlugin<'_, '_> {
    /// Generates a text.
    pub fn word(&mut self) -> Result<String> {
        if self.0.ratio(9, 10)? {
            return Ok((*self.0.choose(WORDS)?).to_owned());
        }
        let length = self.0.int_in_range(0..=6)?;
        Ok(String::from_utf8_lossy(self.0.bytes(length.min(self.0.len()))?).into_owned())
    }

    /// Generates a list of at most `most` items.
    pub fn list<T>(&mut self, most: usize, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        (0..self.0.int_in_range(0..=most)?).map(|_| item(self)).collect()
    }

    /// Generates a list of texts.
    fn words(&mut self) -> Result<Vec<String>> {
        self.list(4, Self::word)
    }

    /// Generates a list of pairs of texts.
    fn pairs(&mut self) -> Result<Vec<(String, String)>> {
        self.list(3, |plugin| Ok((plugin.word()?, plugin.word()?)))
    }

    /// Generates a position that is within a batch of three records, or not.
    pub fn position(&mut self) -> Result<u32> {
        if self.0.ratio(9, 10)? { self.0.int_in_range(0..=3) } else { self.0.arbitrary() }
    }

    /// Generates a list of positions.
    pub fn positions(&mut self) -> Result<Vec<u32>> {
        self.list(4, Self::position)
    }

    /// Generates a batch whose ends sometimes do not fit.
    pub fn batch(&mut self) -> Result<Batch> {
        let records = self.words()?;
        let mut batch = Batch { bytes: vec![], ends: vec![] };
        for record in &records {
            batch.bytes.extend_from_slice(record.as_bytes());
            batch.ends.push(batch.bytes.len() as u32);
        }
        if self.0.ratio(1, 10)? {
            batch.ends.push(self.position()?);
        }
        Ok(batch)
    }

    /// Generates an issue.
    fn issue(&mut self) -> Result<WireIssue> {
        let severity = if self.0.arbitrary()? { WireSeverity::Error } else { WireSeverity::Warning };
        let rule = if self.0.arbitrary()? { Some(self.word()?) } else { None };
        Ok(WireIssue { position: self.position()?, severity, code: self.word()?, field: self.word()?, rule })
    }

    /// Generates a list of issues.
    pub fn issues(&mut self) -> Result<Vec<WireIssue>> {
        self.list(4, Self::issue)
    }

    /// Generates produced records.
    pub fn produced(&mut self) -> Result<WireProduced> {
        let records = self.batch()?;
        let origins = if self.0.ratio(1, 10)? {
            self.positions()?
        } else {
            records.ends.iter().map(|_| self.position()).collect::<Result<_>>()?
        };
        Ok(WireProduced { entity_type: self.word()?, records, origins })
    }

    /// Generates a mapper's description.
    pub fn mapper(&mut self) -> Result<WireMapperDescription> {
        let source = |plugin: &mut Self| {
            let (key, lookups, fields) = (plugin.words()?, plugin.words()?, plugin.words()?);
            Ok(WireSource { name: plugin.word()?, key, lookups, fields })
        };
        let sources = self.list(3, source)?;
        Ok(WireMapperDescription {
            name: self.word()?,
            version: self.word()?,
            sources,
            entity_types: self.words()?,
            codes: self.words()?,
        })
    }

    /// Generates a domain plugin's description.
    pub fn domain(&mut self) -> Result<WireDomainDescription> {
        let column = |plugin: &mut Self| {
            let kind = *plugin.0.choose(&[ColumnKind::Id, ColumnKind::Text, ColumnKind::Decimal, ColumnKind::Json])?;
            Ok(WireColumn { name: plugin.word()?, path: plugin.word()?, kind })
        };
        let entity_type = |plugin: &mut Self| {
            let columns = plugin.list(4, column)?;
            let (amounts, fields) = (plugin.words()?, plugin.words()?);
            Ok(WireEntityType { name: plugin.word()?, columns, references: vec![], amounts, fields })
        };
        let count = |plugin: &mut Self| {
            let (name, entity_type, field) = (plugin.word()?, plugin.word()?, plugin.word()?);
            Ok(WireCountGroup { name, entity_type, field, values: plugin.words()? })
        };
        let rule = |plugin: &mut Self| {
            let (code, field) = (plugin.word()?, plugin.word()?);
            Ok(WireTallyRule { code, severity: WireSeverity::Error, field })
        };
        let generation = |plugin: &mut Self| {
            let (entity_type, source) = (plugin.word()?, plugin.word()?);
            Ok(WireGeneration { entity_type, source, after: plugin.words()?, fields: plugin.words()? })
        };
        Ok(WireDomainDescription {
            name: self.word()?,
            version: self.word()?,
            domain: self.word()?,
            entity_types: self.list(2, entity_type)?,
            count_groups: self.list(2, count)?,
            tally_rules: self.list(2, rule)?,
            generations: self.list(2, generation)?,
            codes: self.words()?,
        })
    }

    /// Generates a part of a path or body.
    fn part(&mut self) -> Result<WirePart> {
        Ok(match self.0.int_in_range(0..=3)? {
            0 => {
                let id = vec![7; self.0.int_in_range(15..=16)?];
                WirePart::Answer(WireAnswer { kind: self.word()?, id, name: self.word()? })
            }
            1 => WirePart::Value(self.word()?),
            _ => WirePart::Constant(self.word()?),
        })
    }

    /// Generates a list of parts.
    fn parts(&mut self) -> Result<Vec<WirePart>> {
        self.list(4, Self::part)
    }

    /// Generates a call.
    fn call(&mut self) -> Result<WireCall> {
        let check = match self.0.int_in_range(0..=3)? {
            0 => WireCheck::Repeat,
            1 => WireCheck::Found(self.word()?),
            2 => WireCheck::Changed((self.word()?, self.word()?, self.word()?)),
            _ => WireCheck::Listed((self.word()?, self.word()?, self.word()?)),
        };
        let undo = match self.0.arbitrary()? {
            true => Some(WireUndo { method: self.word()?, path: self.parts()?, body: self.parts()? }),
            false => None,
        };
        let (step, subject, id) = (self.word()?, self.word()?, self.word()?);
        let (path, body, keeps) = (self.parts()?, self.parts()?, self.pairs()?);
        Ok(WireCall { step, subject, id, path, body, keeps, check, undo })
    }

    /// Generates the plan of a record.
    pub fn plan(&mut self) -> Result<WireEntityPlan> {
        let expectation = |plugin: &mut Self| {
            let (query, id, group) = (plugin.word()?, plugin.word()?, plugin.word()?);
            Ok(WireExpectation { query, id, group, amounts: plugin.words()? })
        };
        let (calls, expectations) = (self.list(3, Self::call)?, self.list(2, expectation)?);
        Ok(WireEntityPlan { position: self.position()?, calls, saved: self.words()?, expectations })
    }

    /// Generates a platform plugin's description.
    pub fn platform(&mut self) -> Result<WirePlatformDescription> {
        let step = |plugin: &mut Self| {
            let (name, method, path) = (plugin.word()?, plugin.word()?, plugin.word()?);
            Ok(WireCallStep { name, method, path, after: plugin.words()? })
        };
        let kind = |plugin: &mut Self| {
            let (name, entity_type, fields) = (plugin.word()?, plugin.word()?, plugin.words()?);
            Ok(WireKind { name, entity_type, companions: vec![], fields, steps: plugin.list(3, step)? })
        };
        let query = |plugin: &mut Self| {
            let (name, method, path, body) = (plugin.word()?, plugin.word()?, plugin.word()?, plugin.word()?);
            let (id, group, groups, amounts) = (plugin.word()?, plugin.word()?, plugin.pairs()?, plugin.pairs()?);
            Ok(WireQuery { name, method, path, body, id, group, groups, amounts })
        };
        Ok(WirePlatformDescription {
            name: self.word()?,
            version: self.word()?,
            kinds: self.list(2, kind)?,
            settings: vec![],
            queries: self.list(2, query)?,
            headers: self.pairs()?,
            idempotency_header: self.word()?,
            error_codes: self.word()?,
            already: self.words()?,
            busy: self.words()?,
            refusals: self.words()?,
            codes: self.words()?,
            requests: self.words()?,
            notes: self.words()?,
        })
    }
}
