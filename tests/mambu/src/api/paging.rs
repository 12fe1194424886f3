//! Lists page by page, and the branch they are narrowed down to.

use super::shown;
use crate::error_codes::{
    INVALID_PAGINATION_LIMIT_VALUE, INVALID_PAGINATION_OFFSET_VALUE, OUT_OF_BOUNDS_PAGINATION_LIMIT_VALUE,
    OUT_OF_BOUNDS_PAGINATION_OFFSET_VALUE, Refusal,
};
use crate::http::{Answer, Request};
use crate::json::Fields;
use crate::{BRANCH_ID, BRANCH_KEY};

/// Items of a page unless it is said otherwise, and at most.
const ITEMS: i64 = 50;
const MOST_ITEMS: i64 = 1000;

/// The page of these rows that the request asks for: `offset`, `limit`, and with `paginationDetails=ON` the headers
/// `Items-Total`, `Items-Offset`, `Items-Limit`.
pub fn page<T>(request: &Request, rows: Vec<T>, show: impl Fn(&T) -> Fields) -> Result<Answer, Refusal> {
    let number = |name: &str, otherwise: i64, wrong: crate::error_codes::Reason| match request.parameter(name) {
        None => Ok(otherwise),
        Some(text) => text.parse().map_err(|_| wrong.at(name)),
    };
    let offset = number("offset", 0, INVALID_PAGINATION_OFFSET_VALUE)?;
    let limit = number("limit", ITEMS, INVALID_PAGINATION_LIMIT_VALUE)?;
    let offset = usize::try_from(offset).map_err(|_| OUT_OF_BOUNDS_PAGINATION_OFFSET_VALUE.at("offset"))?;
    let limit = usize::try_from(limit).ok().filter(|_| limit <= MOST_ITEMS);
    let limit = limit.ok_or_else(|| OUT_OF_BOUNDS_PAGINATION_LIMIT_VALUE.at("limit"))?;
    let items: Vec<Fields> = rows.iter().skip(offset).take(limit).map(show).collect();
    let answer = shown(200, &items)?;
    if request.parameter("paginationDetails").is_some_and(|details| details == "ON") {
        let answer = answer.with("items-total", rows.len()).with("items-offset", offset);
        return Ok(answer.with("items-limit", limit));
    }
    Ok(answer)
}

/// Whether an entity is of the branch that `branchId` names, by id or encoded key.
pub fn of_branch(request: &Request, fields: &Fields) -> bool {
    request.parameter("branchId").is_none_or(|branch| {
        let assigned = fields.text("assignedBranchKey");
        assigned.is_some_and(|key| key == branch || (branch == BRANCH_ID && key == BRANCH_KEY))
    })
}
