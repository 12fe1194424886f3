//! The shape of a domain's records as tables. Checks, columns, references and sums all follow from
//! these, so that a field is written down once.

use std::collections::BTreeSet;

use crate::bindings::domain::exports::sluice::plugin::validation::{self, ColumnKind};

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// The record's own reference id.
    ReferenceId,
    /// A UUID that names something inside the record.
    Id,
    /// A reference id of a record of this entity type.
    Reference(&'static str),
    /// Text of at least one and at most so many characters.
    Text(usize),
    /// `true` or `false`.
    Boolean,
    /// A whole number within these bounds.
    Integer(i64, i64),
    /// An exact decimal within these bounds, in whole numbers.
    Decimal(i64, i64),
    /// `yyyy-MM-dd`, a real calendar day.
    Date,
    /// `{amount, currency}`: exact, not negative, with the currency's own number of fraction digits.
    Money,
    /// Money with further fields: the table has `amount` and `currency` among them.
    MoneyWith(&'static [Field]),
    /// ISO 4217.
    Currency,
    /// Something, `@`, something.
    Email,
    /// ISO 3166-1 alpha-2.
    Country,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A nested object.
    Object(&'static [Field]),
    /// A list of such things, at least so many.
    List(&'static Kind, usize),
}

/// Characters in a free text, such as a purpose: room for a paragraph, not for a document.
pub const MAX_TEXT: usize = 2_000;

/// A text of one line: a name, a number that is no number, a code.
pub const NAME: Kind = Kind::Text(255);

/// Months in a term: a hundred years, so that no schedule grows without bound.
pub const MAX_TERM: i64 = 1_200;

/// The fields of money.
pub const MONEY: &[Field] = &[required("amount", Kind::Decimal(0, i64::MAX)), required("currency", Kind::Currency)];

/// An address, wherever one stands.
pub const ADDRESS: &[Field] = &[
    optional("referenceId", Kind::Id),
    optional("type", Kind::OneOf(&["main", "postal"])),
    required("addressLine1", NAME),
    required("postalCode", NAME),
    required("locality", NAME),
    required("countryCode", Kind::Country),
];

/// A field of a record or of a nested object.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// lowerCamelCase.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
    /// Where the field exists only for some records: the name of the field that decides, and the values
    /// of it that allow this one. Elsewhere it is unknown.
    pub only_if: Option<(&'static str, &'static [&'static str])>,
}

/// A field that may be there.
pub const fn optional(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: false, only_if: None }
}

/// A field that must be there.
pub const fn required(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: true, only_if: None }
}

impl Field {
    /// The same field, only where `decider` has one of `values`.
    pub const fn only_if(mut self, decider: &'static str, values: &'static [&'static str]) -> Field {
        self.only_if = Some((decider, values));
        self
    }
}

/// An entity type of a domain.
#[derive(Clone, Copy, Debug)]
pub struct Entity {
    /// Kebab-case plural.
    pub name: &'static str,
    /// Its fields; the first is the reference id.
    pub fields: &'static [Field],
    /// Paths of money to add up by currency.
    pub amounts: &'static [&'static str],
    /// Verification counts: name, and the top-level field to group by.
    pub counts: &'static [(&'static str, &'static str)],
}

impl Entity {
    /// As the contract describes it.
    pub(crate) fn describe(&self) -> validation::EntityType {
        let mut columns = vec![];
        let mut references = vec![];
        for field in self.fields {
            columns_of(field, &mut columns);
            references_of(field.kind, field.name.to_owned(), &mut references);
        }
        validation::EntityType {
            name: self.name.into(),
            columns,
            references,
            amounts: self.amounts.iter().map(|&path| path.into()).collect(),
            fields: self.field_names().into_iter().map(str::to_owned).collect(),
        }
    }

    /// Names of all its fields, nested ones too.
    pub(crate) fn field_names(&self) -> BTreeSet<&'static str> {
        let mut names = BTreeSet::new();
        names_of(Kind::Object(self.fields), &mut names);
        names
    }

    /// The values by which a field can be counted: only what is one of a few words says nothing of anybody.
    fn values_of(&self, name: &str) -> &'static [&'static str] {
        match self.fields.iter().find(|field| field.name == name).map(|field| field.kind) {
            Some(Kind::OneOf(words)) => words,
            Some(Kind::Boolean) => &["false", "true"],
            _ => panic!("{} cannot be counted by {name}, which is not one of a few words", self.name),
        }
    }

    /// Its verification counts, as the contract describes them.
    pub(crate) fn count_groups(&self) -> impl Iterator<Item = validation::CountGroup> {
        let entity_type = self.name;
        self.counts.iter().map(move |&(name, field)| validation::CountGroup {
            name: name.into(),
            entity_type: entity_type.into(),
            field: field.into(),
            values: self.values_of(field).iter().map(|&value| value.into()).collect(),
        })
    }
}

fn names_of(kind: Kind, names: &mut BTreeSet<&'static str>) {
    let fields = match kind {
        Kind::Object(fields) | Kind::MoneyWith(fields) => fields,
        Kind::Money => MONEY,
        Kind::List(item, _) => return names_of(*item, names),
        _ => return,
    };
    for field in fields {
        names.insert(field.name);
        names_of(field.kind, names);
    }
}

fn columns_of(field: &Field, columns: &mut Vec<validation::Column>) {
    let mut column = |path: String, kind| {
        columns.push(validation::Column { name: snake_case(&path), path, kind });
    };
    let kind = match field.kind {
        Kind::ReferenceId | Kind::Id | Kind::Reference(_) => ColumnKind::Id,
        Kind::Text(_) | Kind::Country | Kind::Currency | Kind::Email | Kind::OneOf(_) => ColumnKind::Text,
        Kind::Boolean => ColumnKind::Boolean,
        Kind::Integer(..) => ColumnKind::Integer,
        Kind::Decimal(..) => ColumnKind::Decimal,
        Kind::Date => ColumnKind::Date,
        Kind::Money => {
            column(format!("{}.amount", field.name), ColumnKind::Decimal);
            return column(format!("{}.currency", field.name), ColumnKind::Text);
        }
        Kind::MoneyWith(_) | Kind::Object(_) | Kind::List(..) => ColumnKind::Json,
    };
    column(field.name.to_owned(), kind);
}

fn references_of(kind: Kind, path: String, references: &mut Vec<validation::Reference>) {
    match kind {
        Kind::Reference(entity_type) => {
            references.push(validation::Reference { path, entity_type: entity_type.into() });
        }
        Kind::List(item, _) => references_of(*item, path + "[]", references),
        Kind::Object(fields) | Kind::MoneyWith(fields) => {
            for field in fields {
                references_of(field.kind, format!("{path}.{}", field.name), references);
            }
        }
        _ => {}
    }
}

/// `amount.currency` and `firstName` as `amount_currency` and `first_name`.
fn snake_case(path: &str) -> String {
    let mut name = String::with_capacity(path.len() + 4);
    for character in path.chars() {
        match character {
            '.' => name.push('_'),
            upper if upper.is_ascii_uppercase() => {
                name.push('_');
                name.push(upper.to_ascii_lowercase());
            }
            other => name.push(other),
        }
    }
    name
}
