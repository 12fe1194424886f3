//! Searches: `{"filterCriteria":[{"field","operator","value"|"values","secondValue"}],"sortingCriteria":…}`.

use std::cmp::Ordering;

use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::dates::read_date;
use crate::error_codes::{
    FIELD_NOT_ALLOWED, INVALID_FILTER_ELEMENT, INVALID_FILTER_SELECTION, INVALID_FILTER_VALUES, Refusal,
};
use crate::http::Request;
use crate::json::{Fields, Input};

/// What may be asked for, of all kinds of entities.
const SEARCHED: &[&str] = &[
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

/// One condition. All of them have to hold.
pub struct Criterion {
    field: String,
    operator: String,
    values: Vec<String>,
}

/// What is searched for, and in which order it is wanted.
pub struct Criteria {
    all: Vec<Criterion>,
    /// The field, and whether it descends.
    sorting: Option<(String, bool)>,
}

/// What a request searches for.
pub fn read(request: &Request) -> Result<Criteria, Refusal> {
    let input = if request.body.is_empty() { Input::read(b"{}")? } else { Input::read(&request.body)? };
    input.only(&["filterCriteria", "sortingCriteria"])?;
    let all = input.objects("filterCriteria")?.iter().map(criterion).collect::<Result<_, _>>()?;
    let sorting = input.object("sortingCriteria")?;
    let sorting = sorting.map(|sorting| {
        let field = sorting.text("field")?;
        let field = sorting.required("field", field)?;
        Ok((searched(&field)?, sorting.text("order")?.is_some_and(|order| order == "DESC")))
    });
    Ok(Criteria { all, sorting: sorting.transpose()? })
}

fn searched(field: &str) -> Result<String, Refusal> {
    match SEARCHED.contains(&field) {
        true => Ok(field.to_owned()),
        false => Err(INVALID_FILTER_SELECTION.at(field)),
    }
}

fn criterion(input: &Input) -> Result<Criterion, Refusal> {
    if let Err(refusal) = input.only(&["field", "operator", "value", "values", "secondValue"]) {
        return Err(FIELD_NOT_ALLOWED.at(refusal.source.unwrap_or_default()));
    }
    let field = input.text("field")?;
    let field = searched(&input.required("field", field)?)?;
    let operator = input.text("operator")?;
    let operator = input.required("operator", operator)?;
    let mut values: Vec<String> = vec![];
    for name in ["value", "secondValue"] {
        // A number may be given as one.
        let value = input.text(name).or_else(|_| input.amount(name).map(|amount| amount.map(|one| one.to_string())))?;
        values.extend(value);
    }
    if let Some(list) = input.fields.0.get("values") {
        let list: Vec<String> = serde_json::from_str(list.get()).map_err(|_| INVALID_FILTER_VALUES.at("values"))?;
        values.extend(list);
    }
    let wanted = match operator.as_str() {
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
    if !wanted.contains(&values.len()) {
        return Err(INVALID_FILTER_VALUES.at(field));
    }
    Ok(Criterion { field, operator, values })
}

/// The values that this field has to have one of, if that is asked.
pub fn exactly<'a>(criteria: &'a Criteria, field: &str) -> Option<&'a [String]> {
    let exact = |criterion: &&Criterion| criterion.field == field && ["EQUALS", "IN"].contains(&&*criterion.operator);
    criteria.all.iter().find(exact).map(|criterion| criterion.values.as_slice())
}

/// Those for which all criteria hold, sorted if that is asked.
pub fn found(criteria: &Criteria, all: impl Iterator<Item = Fields>) -> Result<Vec<Fields>, Refusal> {
    let mut found: Vec<Fields> = all.filter(|fields| criteria.all.iter().all(|one| one.holds(fields))).collect();
    if let Some((field, descends)) = &criteria.sorting {
        found.sort_by(|a, b| {
            let order = match (text(a, field), text(b, field)) {
                (Some(a), Some(b)) => compared(&a, &b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            };
            if *descends { order.reverse() } else { order }
        });
    }
    Ok(found)
}

/// A member's text: a string without its quotes, a number with all its digits.
fn text(fields: &Fields, name: &str) -> Option<String> {
    fields.text(name).or_else(|| fields.0.get(name).map(|raw| raw.get().to_owned()))
}

/// As instants if both are, or days; else as numbers if both are; else as text.
fn compared(a: &str, b: &str) -> Ordering {
    let instant = |text: &str| {
        let day = read_date(text).and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok());
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
    fn holds(&self, fields: &Fields) -> bool {
        let Some(text) = text(fields, &self.field) else { return self.operator == "EMPTY" };
        let order = |i: usize| self.values.get(i).map(|value| compared(&text, value));
        match self.operator.as_str() {
            "EQUALS" | "EQUALS_CASE_SENSITIVE" => order(0) == Some(Ordering::Equal),
            "DIFFERENT_THAN" => order(0) != Some(Ordering::Equal),
            "IN" => self.values.iter().any(|value| compared(&text, value).is_eq()),
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
