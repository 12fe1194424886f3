//! Tables of fields: the shape of a domain's records. Checks, columns, references and sums are derived from them, so
//! each field is defined once.

use std::collections::BTreeSet;

use crate::bindings::domain::exports::sluice::plugin::validation::{self, ColumnKind};

/// The kind of value that a field holds.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Reference id of the record itself.
    ReferenceId,
    /// A UUID that identifies a part of the record.
    Id,
    /// Reference id of a record of this entity type.
    Reference(&'static str),
    /// Text of 1 to this many characters.
    Text(usize),
    /// `true` or `false`.
    Boolean,
    /// A whole number within these bounds.
    Integer(i64, i64),
    /// An exact decimal within these bounds.
    Decimal(i64, i64),
    /// A calendar day, `yyyy-MM-dd`.
    Date,
    /// `{amount, currency}`: exact, not negative, with at most the number of fraction digits of the currency.
    Money,
    /// Money with further fields. The table includes `amount` and `currency`.
    MoneyWith(&'static [Field]),
    /// A currency code of ISO 4217.
    Currency,
    /// Name of a kind of identifiers, such as `IBAN` or `LEI`, or any other text of up to this many characters. If the
    /// object's [`Identifier`](Kind::Identifier) has one of the kinds of [`crate::identifiers`], its check digits are
    /// checked.
    IdentifierKind(usize),
    /// An identifier of the kind that the object's [`IdentifierKind`](Kind::IdentifierKind) names: text of up to this
    /// many characters.
    Identifier(usize),
    /// An email address. The check requires text, one `@`, text, and no white space.
    Email,
    /// A country code of ISO 3166-1 alpha-2.
    Country,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A nested object.
    Object(&'static [Field]),
    /// A list of values of this kind, of at least this length.
    List(&'static Kind, usize),
}

/// Maximum number of characters in a free text, such as a purpose. A paragraph fits, a document does not.
pub const MAX_TEXT: usize = 2_000;

/// Maximum length of an email address, in characters.
pub(crate) const MAX_EMAIL: usize = 254;

/// Maximum number of characters in a short text.
pub const MAX_NAME: usize = 255;

/// Kind of a short text, such as a name, a code or an account number.
pub const NAME: Kind = Kind::Text(MAX_NAME);

/// Maximum number of months in a term: a hundred years. It bounds the length of a schedule.
pub const MAX_TERM: i64 = 1_200;

/// Fields of money.
pub const MONEY: &[Field] = &[required("amount", Kind::Decimal(0, i64::MAX)), required("currency", Kind::Currency)];

/// Fields of an address.
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
    /// Name, in `lowerCamelCase`.
    pub name: &'static str,
    /// Kind of value.
    pub kind: Kind,
    /// True if the field must be present.
    pub required: bool,
    /// Condition for a field that only some records have: the name of the deciding field, and its values for which this
    /// field exists. With any other value this field is unknown.
    pub only_if: Option<(&'static str, &'static [&'static str])>,
}

/// Returns an optional field.
pub const fn optional(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: false, only_if: None }
}

/// Returns a required field.
pub const fn required(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: true, only_if: None }
}

impl Field {
    /// Returns the field with the condition that the field `decider` has one of `values`.
    pub const fn only_if(mut self, decider: &'static str, values: &'static [&'static str]) -> Field {
        self.only_if = Some((decider, values));
        self
    }
}

/// An entity type of a domain.
#[derive(Clone, Copy, Debug)]
pub struct Entity {
    /// Name, a plural in kebab case.
    pub name: &'static str,
    /// Fields. The first is the reference id.
    pub fields: &'static [Field],
    /// Names of fields of which a record has at least one. Empty if there is no such rule.
    pub at_least_one: &'static [&'static str],
    /// Paths of money values that verification adds up by currency.
    pub amounts: &'static [&'static str],
    /// Verification counts: the name of each, and the top-level field to group by.
    pub counts: &'static [(&'static str, &'static str)],
}

impl Entity {
    /// Returns the contract's description of the entity type.
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

    /// Returns the names of all fields, including nested ones.
    pub(crate) fn field_names(&self) -> BTreeSet<&'static str> {
        let mut names = BTreeSet::new();
        names_of(Kind::Object(self.fields), &mut names);
        names
    }

    /// Returns the values of a field that records can be counted by. Only words and booleans are permitted, because
    /// other values could be personal data.
    ///
    /// # Panics
    ///
    /// If the field has another kind.
    fn values_of(&self, name: &str) -> &'static [&'static str] {
        match self.fields.iter().find(|field| field.name == name).map(|field| field.kind) {
            Some(Kind::OneOf(words)) => words,
            Some(Kind::Boolean) => &["false", "true"],
            _ => panic!("{} cannot be counted by {name}: its kind is neither OneOf nor Boolean", self.name),
        }
    }

    /// Returns the contract's description of the verification counts.
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

/// Adds the names of all fields inside a value of this kind.
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

/// Adds the columns of a field.
fn columns_of(field: &Field, columns: &mut Vec<validation::Column>) {
    let mut column = |path: String, kind| {
        columns.push(validation::Column { name: snake_case(&path), path, kind });
    };
    let kind = match field.kind {
        Kind::ReferenceId | Kind::Id | Kind::Reference(_) => ColumnKind::Id,
        Kind::Text(_)
        | Kind::Country
        | Kind::Currency
        | Kind::Email
        | Kind::IdentifierKind(_)
        | Kind::Identifier(_)
        | Kind::OneOf(_) => ColumnKind::Text,
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

/// Adds the references inside a value of this kind at `path`.
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

/// Returns a path in snake case: `amount_currency` for `amount.currency`, `first_name` for `firstName`.
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
