//! Counting what a migration has brought into a target again, by what its evidence says that counts are made of.

use std::path::Path as FilePath;

use serde::{Deserialize, Serialize};

use super::counts::{Side, UNALTERED};
use super::evidence::Bundle;
use sluice_contract::{Column, ColumnKind, CountGroup, EntityType};
use sluice_model::{Cell, Name};
use sluice_target::{EmbeddedTarget, Target, TargetError};

/// What the counts of an entity type are made of: its groups, its amounts, and the columns that hold them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Definition {
    entity_type: String,
    columns: Vec<ColumnPath>,
    amounts: Vec<String>,
    groups: Vec<Group>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnPath {
    name: String,
    path: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    field: String,
    /// The values that are told apart.
    values: Vec<String>,
}

/// One figure: what it is of, what evidence says, and what the target has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Such as `TotalAmounts`.
    pub count: String,
    /// What is counted, such as `agreements EUR`.
    pub of: String,
    /// What the counts job found in the target; none where it found nothing of this kind.
    pub evidence: Option<String>,
    /// What stands there now.
    pub recounted: Option<String>,
}

impl Compared {
    /// Whether both are the same.
    pub fn agrees(&self) -> bool {
        self.evidence == self.recounted
    }
}

/// Why nothing was counted.
#[derive(Debug, thiserror::Error)]
pub enum RecountError {
    /// The target failed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A name in the evidence is none that a table or column can have.
    #[error("the evidence names a table or column that there cannot be")]
    Name,
}

impl Definition {
    pub(super) fn new(entity_type: &EntityType, groups: &[&CountGroup]) -> Self {
        let text = |name: &Name| name.to_string();
        let groups: Vec<Group> = groups
            .iter()
            .map(|group| Group {
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
        let path = |column: &Column| ColumnPath { name: text(&column.name), path: column.path.clone() };
        Self {
            entity_type: text(&entity_type.name),
            columns: entity_type.columns.iter().filter(needed).map(path).collect(),
            amounts: entity_type.amounts.clone(),
            groups,
        }
    }

    /// As the target is asked. Names become part of SQL, and evidence may come from anybody.
    fn described(&self) -> Result<(EntityType, Vec<CountGroup>), RecountError> {
        let is_name =
            |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if !is_name(&self.entity_type) || !self.columns.iter().all(|column| is_name(&column.name)) {
            return Err(RecountError::Name);
        }
        let name = |name: &String| Name::declared(name).ok_or(RecountError::Name);
        // What kind a column is of does not matter to counts.
        let column = |column: &ColumnPath| -> Result<Column, RecountError> {
            Ok(Column { name: name(&column.name)?, path: column.path.clone(), kind: ColumnKind::Text })
        };
        let group = |group: &Group| -> Result<CountGroup, RecountError> {
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

/// Counts in the platform database in this file, which is only read, and compares with the evidence.
pub fn recount(bundle: &Bundle, file: &FilePath) -> Result<Vec<Compared>, RecountError> {
    let target = EmbeddedTarget::open_read_only(file)?;
    let mut side = Side::default();
    for definition in &bundle.definitions {
        let (entity_type, groups) = definition.described()?;
        let groups: Vec<&CountGroup> = groups.iter().collect();
        side.add(&entity_type, &groups, &target.figures(bundle.migration, &entity_type, &groups, 0, &|| false)?);
    }
    let text = |rows: Vec<Vec<Cell>>| -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(Cell::to_string).collect()).collect()
    };
    let mut recounted = side.counts().map(|(name, _, rows)| (name.to_string(), text(rows))).collect::<Vec<_>>();
    // Evidence of versions that kept no checksums does not say it.
    if !bundle.counts.rows.iter().any(|count| *count.r#type == *UNALTERED) {
        recounted.retain(|(name, _)| *name != *UNALTERED);
    }
    let evidence = bundle.counts.rows.iter().map(|count| (count.r#type.clone(), count.imported_rows.clone()));
    Ok(compare(&evidence.collect::<Vec<_>>(), &recounted))
}

type Rows = Vec<(String, Vec<Vec<String>>)>;

/// Every figure of either side beside that of the other. A row's last cell is its figure, the others say of what.
fn compare(evidence: &Rows, recounted: &Rows) -> Vec<Compared> {
    let mut compared: Vec<Compared> = vec![];
    let mut add = |rows: &Rows, take: fn(&mut Compared) -> &mut Option<String>| {
        for (count, row) in rows.iter().flat_map(|(count, rows)| rows.iter().map(move |row| (count, row))) {
            let Some((figure, of)) = row.split_last() else { continue };
            let of = of.join(" ");
            let found = compared.iter().position(|there| there.count == *count && there.of == of);
            let at = found.unwrap_or_else(|| {
                compared.push(Compared { count: count.clone(), of, evidence: None, recounted: None });
                compared.len() - 1
            });
            *take(&mut compared[at]) = Some(figure.clone());
        }
    };
    add(evidence, |compared| &mut compared.evidence);
    add(recounted, |compared| &mut compared.recounted);
    compared
}
