//! Paging of lists and their restriction to a branch.

use super::json_response;
use crate::error_codes::{
    INVALID_PAGINATION_LIMIT_VALUE, INVALID_PAGINATION_OFFSET_VALUE, MambuError, OUT_OF_BOUNDS_PAGINATION_LIMIT_VALUE,
    OUT_OF_BOUNDS_PAGINATION_OFFSET_VALUE,
};
use crate::http::{MockRequest, MockResponse};
use crate::json::JsonObject;
use crate::{BRANCH_ID, BRANCH_KEY};

/// Default number of items of a page.
const ITEMS: i64 = 50;
/// Maximum number of items of a page.
const MAX_ITEMS: i64 = 1000;

/// Returns the page of these rows that the parameters `offset` and `limit` select. With `paginationDetails=ON` the
/// response has the headers `Items-Total`, `Items-Offset` and `Items-Limit`.
pub fn page<T>(
    request: &MockRequest,
    rows: Vec<T>,
    show: impl Fn(&T) -> JsonObject,
) -> Result<MockResponse, MambuError> {
    let number = |name: &str, otherwise: i64, wrong: crate::error_codes::MambuErrorCode| match request.parameter(name) {
        None => Ok(otherwise),
        Some(text) => text.parse().map_err(|_| wrong.at(name)),
    };
    let offset = number("offset", 0, INVALID_PAGINATION_OFFSET_VALUE)?;
    let limit = number("limit", ITEMS, INVALID_PAGINATION_LIMIT_VALUE)?;
    let offset = usize::try_from(offset).map_err(|_| OUT_OF_BOUNDS_PAGINATION_OFFSET_VALUE.at("offset"))?;
    let limit = usize::try_from(limit).ok().filter(|_| limit <= MAX_ITEMS);
    let limit = limit.ok_or_else(|| OUT_OF_BOUNDS_PAGINATION_LIMIT_VALUE.at("limit"))?;
    let items: Vec<JsonObject> = rows.iter().skip(offset).take(limit).map(show).collect();
    let response = json_response(200, &items)?;
    if request.parameter("paginationDetails").is_some_and(|details| details == "ON") {
        let response = response.with("items-total", rows.len()).with("items-offset", offset);
        return Ok(response.with("items-limit", limit));
    }
    Ok(response)
}

/// Returns true if an entity belongs to the branch in `branchId`, which is an id or an encoded key, or if `branchId` is
/// absent.
pub fn is_in_branch(request: &MockRequest, fields: &JsonObject) -> bool {
    request.parameter("branchId").is_none_or(|branch| {
        let assigned = fields.text("assignedBranchKey");
        assigned.is_some_and(|key| key == branch || (branch == BRANCH_ID && key == BRANCH_KEY))
    })
}
