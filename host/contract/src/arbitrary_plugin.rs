//! Chance as the author of a plugin: descriptions and answers that mean something now and then.

use super::wire::{
    Batch, ColumnKind, WireAnswer, WireCall, WireCallStep, WireCheck, WireColumn, WireCountGroup,
    WireDomainDescription, WireEntityPlan, WireEntityType, WireExpectation, WireGeneration, WireIssue, WireKind,
    WireMapperDescription, WirePart, WirePlatformDescription, WireProduced, WireQuery, WireSeverity, WireSource,
    WireTallyRule, WireUndo,
};
use arbitrary::{Result, Unstructured};

/// Texts that mean something, and others.
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

/// Chance as the author of a plugin.
pub struct Author<'c, 'd>(pub &'c mut Unstructured<'d>);

impl Author<'_, '_> {
    pub fn word(&mut self) -> Result<String> {
        if self.0.ratio(9, 10)? {
            return Ok((*self.0.choose(WORDS)?).to_owned());
        }
        let length = self.0.int_in_range(0..=6)?;
        Ok(String::from_utf8_lossy(self.0.bytes(length.min(self.0.len()))?).into_owned())
    }

    pub fn list<T>(&mut self, most: usize, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        (0..self.0.int_in_range(0..=most)?).map(|_| item(self)).collect()
    }

    fn words(&mut self) -> Result<Vec<String>> {
        self.list(4, Self::word)
    }

    fn pairs(&mut self) -> Result<Vec<(String, String)>> {
        self.list(3, |author| Ok((author.word()?, author.word()?)))
    }

    /// One of a batch of three, or not.
    pub fn position(&mut self) -> Result<u32> {
        if self.0.ratio(9, 10)? { self.0.int_in_range(0..=3) } else { self.0.arbitrary() }
    }

    pub fn positions(&mut self) -> Result<Vec<u32>> {
        self.list(4, Self::position)
    }

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

    fn issue(&mut self) -> Result<WireIssue> {
        let severity = if self.0.arbitrary()? { WireSeverity::Error } else { WireSeverity::Warning };
        let rule = if self.0.arbitrary()? { Some(self.word()?) } else { None };
        Ok(WireIssue { position: self.position()?, severity, code: self.word()?, field: self.word()?, rule })
    }

    pub fn issues(&mut self) -> Result<Vec<WireIssue>> {
        self.list(4, Self::issue)
    }

    pub fn produced(&mut self) -> Result<WireProduced> {
        let records = self.batch()?;
        let origins = if self.0.ratio(1, 10)? {
            self.positions()?
        } else {
            records.ends.iter().map(|_| self.position()).collect::<Result<_>>()?
        };
        Ok(WireProduced { entity_type: self.word()?, records, origins })
    }

    pub fn mapper(&mut self) -> Result<WireMapperDescription> {
        let source = |author: &mut Self| {
            let (key, lookups, fields) = (author.words()?, author.words()?, author.words()?);
            Ok(WireSource { name: author.word()?, key, lookups, fields })
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

    pub fn domain(&mut self) -> Result<WireDomainDescription> {
        let column = |author: &mut Self| {
            let kind = *author.0.choose(&[ColumnKind::Id, ColumnKind::Text, ColumnKind::Decimal, ColumnKind::Json])?;
            Ok(WireColumn { name: author.word()?, path: author.word()?, kind })
        };
        let entity_type = |author: &mut Self| {
            let columns = author.list(4, column)?;
            let (amounts, fields) = (author.words()?, author.words()?);
            Ok(WireEntityType { name: author.word()?, columns, references: vec![], amounts, fields })
        };
        let count = |author: &mut Self| {
            let (name, entity_type, field) = (author.word()?, author.word()?, author.word()?);
            Ok(WireCountGroup { name, entity_type, field, values: author.words()? })
        };
        let rule = |author: &mut Self| {
            let (code, field) = (author.word()?, author.word()?);
            Ok(WireTallyRule { code, severity: WireSeverity::Error, field })
        };
        let generation = |author: &mut Self| {
            let (entity_type, source) = (author.word()?, author.word()?);
            Ok(WireGeneration { entity_type, source, after: author.words()?, fields: author.words()? })
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

    fn parts(&mut self) -> Result<Vec<WirePart>> {
        self.list(4, Self::part)
    }

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

    pub fn plan(&mut self) -> Result<WireEntityPlan> {
        let expectation = |author: &mut Self| {
            let (query, id, group) = (author.word()?, author.word()?, author.word()?);
            Ok(WireExpectation { query, id, group, amounts: author.words()? })
        };
        let (calls, expectations) = (self.list(3, Self::call)?, self.list(2, expectation)?);
        Ok(WireEntityPlan { position: self.position()?, calls, saved: self.words()?, expectations })
    }

    pub fn platform(&mut self) -> Result<WirePlatformDescription> {
        let step = |author: &mut Self| {
            let (name, method, path) = (author.word()?, author.word()?, author.word()?);
            Ok(WireCallStep { name, method, path, after: author.words()? })
        };
        let kind = |author: &mut Self| {
            let (name, entity_type, fields) = (author.word()?, author.word()?, author.words()?);
            Ok(WireKind { name, entity_type, companions: vec![], fields, steps: author.list(3, step)? })
        };
        let query = |author: &mut Self| {
            let (name, method, path, body) = (author.word()?, author.word()?, author.word()?, author.word()?);
            let (id, group, groups, amounts) = (author.word()?, author.word()?, author.pairs()?, author.pairs()?);
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
