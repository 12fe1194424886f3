//! Verification of evidence: repeats the counts on a platform database, with the definitions that the evidence
//! contains.

use std::path::Path as FilePath;

use serde::{Deserialize, Serialize};

use super::counts::{CountSide, UNALTERED};
use super::evidence::{EvidenceBundle, UploadEvidence};
use super::line_counts::{LINES, StreamLines, stream_lines};
use sluice_contract::{Column, ColumnKind, CountGroup, EntityType};
use sluice_model::{Cell, Name};
use sluice_target::{EmbeddedTarget, TargetError};

/// Definition of an entity type's counts: its groups, its amounts, and the columns that hold them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CountDefinition {
    entity_type: String,
    columns: Vec<DefinitionColumn>,
    amounts: Vec<String>,
    groups: Vec<DefinitionGroup>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DefinitionColumn {
    name: String,
    path: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DefinitionGroup {
    name: String,
    field: String,
    /// Values that are counted separately.
    values: Vec<String>,
}

/// A figure in the evidence and in the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FigureComparison {
    /// Name of the count, such as `TotalAmounts`.
    pub count: String,
    /// Object of the figure, such as `agreements EUR`.
    pub of: String,
    /// Figure that the counts job found in the target; none if it found none.
    pub evidence: Option<String>,
    /// Figure in the target now.
    pub recounted: Option<String>,
}

impl FigureComparison {
    /// Returns true if both figures are the same.
    pub fn agrees(&self) -> bool {
        self.evidence == self.recounted
    }
}

/// An error for which nothing was counted.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceVerifyError {
    /// The target failed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The evidence contains a name that no table or column can have.
    #[error("the evidence contains an invalid name of a table or column")]
    Name,
}

impl CountDefinition {
    /// Creates the definition of an entity type's counts.
    pub(crate) fn new(entity_type: &EntityType, groups: &[&CountGroup]) -> Self {
        let text = |name: &Name| name.to_string();
        let groups: Vec<DefinitionGroup> = groups
            .iter()
            .map(|group| DefinitionGroup {
                name: text(&group.name),
                field: text(&group.field),
                values: group.values.iter().map(text).collect(),
            })
            .collect();
        let first = |path: &str| path.split(['.', '[']).next().unwrap_or_default().to_owned();
        let needed = |column: &&Column| {
            let amounts = entity_type.amounts.iter();
            groups.iter().any(|group| group.field == column.path)
                || amounts.into_iter().any(|amount| first(amount) == first(&column.path))
        };
        let path = |column: &Column| DefinitionColumn { name: text(&column.name), path: column.path.clone() };
        Self {
            entity_type: text(&entity_type.name),
            columns: entity_type.columns.iter().filter(needed).map(path).collect(),
            amounts: entity_type.amounts.clone(),
            groups,
        }
    }

    /// Returns the definition as the target needs it. Checks all names, because they become part of SQL, and the
    /// evidence may come from any source.
    fn described(&self) -> Result<(EntityType, Vec<CountGroup>), EvidenceVerifyError> {
        let is_name =
            |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if !is_name(&self.entity_type) || !self.columns.iter().all(|column| is_name(&column.name)) {
            return Err(EvidenceVerifyError::Name);
        }
        let name = |name: &String| Name::from_description(name).ok_or(EvidenceVerifyError::Name);
        // The kind of a column does not matter to counts.
        let column = |column: &DefinitionColumn| -> Result<Column, EvidenceVerifyError> {
            Ok(Column { name: name(&column.name)?, path: column.path.clone(), kind: ColumnKind::Text })
        };
        let group = |group: &DefinitionGroup| -> Result<CountGroup, EvidenceVerifyError> {
            Ok(CountGroup {
                name: name(&group.name)?,
                entity_type: name(&self.entity_type)?,
                field: name(&group.field)?,
                values: group.values.iter().map(name).collect::<Result<_, _>>()?,
            })
        };
        let entity_type = EntityType {
            name: name(&self.entity_type)?,
            columns: self.columns.iter().map(column).collect::<Result<_, _>>()?,
            references: vec![],
            amounts: self.amounts.clone(),
        };
        Ok((entity_type, self.groups.iter().map(group).collect::<Result<_, _>>()?))
    }
}

/// Counts in a platform database, which is opened for reading only, and compares the figures with the evidence.
pub fn verify_counts(bundle: &EvidenceBundle, file: &FilePath) -> Result<Vec<FigureComparison>, EvidenceVerifyError> {
    let target = EmbeddedTarget::open_read_only(file)?;
    let mut side = CountSide::default();
    for definition in &bundle.definitions {
        let (entity_type, groups) = definition.described()?;
        let groups: Vec<&CountGroup> = groups.iter().collect();
        side.add(&entity_type, &groups, &target.figures_of_file(bundle.migration, &entity_type, &groups)?);
    }
    let text = |rows: Vec<Vec<Cell>>| -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(Cell::to_string).collect()).collect()
    };
    let mut recounted = side.counts().map(|(name, _, rows)| (name.to_string(), text(rows))).collect::<Vec<_>>();
    // Earlier versions had no checksums, so their evidence lacks this count.
    if !bundle.counts.rows.iter().any(|count| *count.r#type == *UNALTERED) {
        recounted.retain(|(name, _)| *name != *UNALTERED);
    }
    // Lines are not in the database. They are counted anew from the uploads that the evidence lists.
    if bundle.counts.rows.iter().any(|count| *count.r#type == *LINES) {
        let lines = stream_lines(bundle.uploads.iter().filter_map(UploadEvidence::counted));
        let row = |((stream, _), lines): ((&str, bool), StreamLines)| {
            lines.is_complete.then(|| vec![stream.to_owned(), lines.accounted.to_string()])
        };
        recounted.push((LINES.to_string(), lines.into_iter().filter_map(row).collect()));
    }
    let evidence = bundle.counts.rows.iter().map(|count| (count.r#type.clone(), count.imported_rows.clone()));
    Ok(compare(&evidence.collect::<Vec<_>>(), &recounted))
}

type Rows = Vec<(String, Vec<Vec<String>>)>;

/// Pairs the figures of both sides. The last cell of a row is its figure, and the others name its object.
fn compare(evidence: &Rows, recounted: &Rows) -> Vec<FigureComparison> {
    let mut compared: Vec<FigureComparison> = vec![];
    let mut add = |rows: &Rows, take: fn(&mut FigureComparison) -> &mut Option<String>| {
        for (count, row) in rows.iter().flat_map(|(count, rows)| rows.iter().map(move |row| (count, row))) {
            let Some((figure, of)) = row.split_last() else { continue };
            let of = of.join(" ");
            let found = compared.iter().position(|known| known.count == *count && known.of == of);
            let at = found.unwrap_or_else(|| {
                compared.push(FigureComparison { count: count.clone(), of, evidence: None, recounted: None });
                compared.len() - 1
            });
            *take(&mut compared[at]) = Some(figure.clone());
        }
    };
    add(evidence, |compared| &mut compared.evidence);
    add(recounted, |compared| &mut compared.recounted);
    compared
}
