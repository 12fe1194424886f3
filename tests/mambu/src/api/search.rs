//! Searches: `{"filterCriteria":[{"field","operator","value"|"values","secondValue"}],"sortingCriteria":…}`.

use std::cmp::Ordering;

use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::dates::parse_date;
use crate::error_codes::{
    FIELD_NOT_ALLOWED, INVALID_FILTER_ELEMENT, INVALID_FILTER_SELECTION, INVALID_FILTER_VALUES, MambuError,
};
use crate::http::MockRequest;
use crate::json::{Input, JsonObject};

/// Searchable fields of all kinds of entities.
const SEARCHABLE_FIELDS: &[&str] = &[
    "accountHolderKey",
    "accountHolderType",
    "accountState",
    "accountSubState",
    "adjustmentTransactionKey",
    "amount",
    "approvedDate",
    "assignedBranchKey",
    "birthDate",
    "bookingDate",
    "closedDate",
    "creationDate",
    "encodedKey",
    "externalId",
    "firstName",
    "id",
    "lastModifiedDate",
    "lastName",
    "loanAmount",
    "loanName",
    "originalTransactionKey",
    "parentAccountKey",
    "productTypeKey",
    "settlementAccountKey",
    "state",
    "type",
    "valueDate",
];

/// A condition on one field.
pub struct Criterion {
    field: String,
    operator: String,
    values: Vec<String>,
}

/// Conditions and sort order of a search. An entity matches if all conditions are true.
pub struct Criteria {
    all: Vec<Criterion>,
    /// Sort field, and true for descending order.
    sorting: Option<(String, bool)>,
}

/// Parses the criteria of a request.
pub fn read(request: &MockRequest) -> Result<Criteria, MambuError> {
    let input = if request.body.is_empty() { Input::read(b"{}")? } else { Input::read(&request.body)? };
    input.allow_only(&["filterCriteria", "sortingCriteria"])?;
    let all = input.objects("filterCriteria")?.iter().map(criterion).collect::<Result<_, _>>()?;
    let sorting = input.object("sortingCriteria")?;
    let sorting = sorting.map(|sorting| {
        let field = sorting.text("field")?;
        let field = sorting.required("field", field)?;
        Ok((check_field(&field)?, sorting.text("order")?.is_some_and(|order| order == "DESC")))
    });
    Ok(Criteria { all, sorting: sorting.transpose()? })
}

/// Returns the field if it is searchable.
fn check_field(field: &str) -> Result<String, MambuError> {
    match SEARCHABLE_FIELDS.contains(&field) {
        true => Ok(field.to_owned()),
        false => Err(INVALID_FILTER_SELECTION.at(field)),
    }
}

/// Parses a criterion.
fn criterion(input: &Input) -> Result<Criterion, MambuError> {
    if let Err(error) = input.allow_only(&["field", "operator", "value", "values", "secondValue"]) {
        return Err(FIELD_NOT_ALLOWED.at(error.source.unwrap_or_default()));
    }
    let field = input.text("field")?;
    let field = check_field(&input.required("field", field)?)?;
    let operator = input.text("operator")?;
    let operator = input.required("operator", operator)?;
    let mut values: Vec<String> = vec![];
    for name in ["value", "secondValue"] {
        // A number is accepted as a JSON number.
        let value = input.text(name).or_else(|_| input.amount(name).map(|amount| amount.map(|one| one.to_string())))?;
        values.extend(value);
    }
    if let Some(list) = input.fields.0.get("values") {
        let list: Vec<String> = serde_json::from_str(list.get()).map_err(|_| INVALID_FILTER_VALUES.at("values"))?;
        values.extend(list);
    }
    let allowed_count = match operator.as_str() {
        "EMPTY" | "NOT_EMPTY" => 0..=0,
        "BETWEEN" => 2..=2,
        "IN" => 1..=usize::MAX,
        "EQUALS"
        | "EQUALS_CASE_SENSITIVE"
        | "DIFFERENT_THAN"
        | "MORE_THAN"
        | "LESS_THAN"
        | "AFTER"
        | "BEFORE"
        | "ON"
        | "STARTS_WITH" => 1..=1,
        _ => return Err(INVALID_FILTER_ELEMENT.at(operator)),
    };
    if !allowed_count.contains(&values.len()) {
        return Err(INVALID_FILTER_VALUES.at(field));
    }
    Ok(Criterion { field, operator, values })
}

/// Returns the values of the criterion that requires this field to equal one of them, if there is such a criterion.
pub fn exact_values<'a>(criteria: &'a Criteria, field: &str) -> Option<&'a [String]> {
    let exact = |criterion: &&Criterion| criterion.field == field && ["EQUALS", "IN"].contains(&&*criterion.operator);
    criteria.all.iter().find(exact).map(|criterion| criterion.values.as_slice())
}

/// Returns the entities that match all criteria, in the requested order.
pub fn select(criteria: &Criteria, all: impl Iterator<Item = JsonObject>) -> Result<Vec<JsonObject>, MambuError> {
    let mut selected: Vec<JsonObject> =
        all.filter(|fields| criteria.all.iter().all(|one| one.matches(fields))).collect();
    if let Some((field, descending)) = &criteria.sorting {
        selected.sort_by(|a, b| {
            let order = match (text(a, field), text(b, field)) {
                (Some(a), Some(b)) => compare(&a, &b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            };
            if *descending { order.reverse() } else { order }
        });
    }
    Ok(selected)
}

/// Returns the text of a member: a string without its quotes, or a number with all its digits.
fn text(fields: &JsonObject, name: &str) -> Option<String> {
    fields.text(name).or_else(|| fields.0.get(name).map(|raw| raw.get().to_owned()))
}

/// Compares two texts: as instants if both are instants or days, else as numbers if both are numbers, else as text.
fn compare(a: &str, b: &str) -> Ordering {
    let instant = |text: &str| {
        let day = parse_date(text).and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok());
        text.parse::<Timestamp>().ok().or(day.map(|day| day.timestamp()))
    };
    let number = |text: &str| Decimal::from_str_exact(text).ok();
    if let (Some(a), Some(b)) = (instant(a), instant(b)) {
        a.cmp(&b)
    } else if let (Some(a), Some(b)) = (number(a), number(b)) {
        a.cmp(&b)
    } else {
        a.cmp(b)
    }
}

impl Criterion {
    /// Returns true if the entity meets the condition.
    fn matches(&self, fields: &JsonObject) -> bool {
        let Some(text) = text(fields, &self.field) else { return self.operator == "EMPTY" };
        let order = |i: usize| self.values.get(i).map(|value| compare(&text, value));
        match self.operator.as_str() {
            "EQUALS" | "EQUALS_CASE_SENSITIVE" => order(0) == Some(Ordering::Equal),
            "DIFFERENT_THAN" => order(0) != Some(Ordering::Equal),
            "IN" => self.values.iter().any(|value| compare(&text, value).is_eq()),
            "MORE_THAN" | "AFTER" => order(0) == Some(Ordering::Greater),
            "LESS_THAN" | "BEFORE" => order(0) == Some(Ordering::Less),
            "ON" => self.values.iter().any(|day| text.starts_with(day.get(..10).unwrap_or(day))),
            "STARTS_WITH" => self.values.iter().any(|start| text.starts_with(start.as_str())),
            "BETWEEN" => order(0).is_some_and(Ordering::is_ge) && order(1).is_some_and(Ordering::is_le),
            "NOT_EMPTY" => true,
            _ => false,
        }
    }
}
