//! Creation of a loan account and of the schedule that follows from its terms.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::{ApiCall, json_response};
use crate::bank::encoded_key;
use crate::bank::loan::{LoanAccount, LoanState};
use crate::bank::schedule::LoanTerms;
use crate::dates::PeriodUnit;
use crate::error_codes::{
    ACCOUNT_ID_ALREADY_IN_USE, FIRST_REPAYMENT_DATE_BEFORE_EXPECTED_DISBURSEMENT_DATE, INVALID_AMOUNT,
    INVALID_BRANCH_KEY, INVALID_CLIENT_KEY, INVALID_FIRST_REPAYMENT_DUE_DATE, INVALID_GRACE_PERIOD,
    INVALID_INSTALLMENTS, INVALID_INTEREST_RATE, INVALID_PARAMETERS, INVALID_PRODUCT_KEY, MambuError,
};
use crate::http::MockResponse;
use crate::json::Input;

/// Members of a new loan account.
const FIELDS: &[&str] = &[
    "accountArrearsSettings",
    "accountHolderKey",
    "accountHolderType",
    "allowOffset",
    "arrearsTolerancePeriod",
    "assets",
    "assignedBranchKey",
    "assignedCentreKey",
    "assignedUserKey",
    "creditArrangementKey",
    "currency",
    "disbursementDetails",
    "fundingSources",
    "futurePaymentsAcceptance",
    "guarantors",
    "id",
    "interestCommission",
    "interestSettings",
    "latePaymentsRecalculationMethod",
    "loanAmount",
    "loanName",
    "notes",
    "originalAccountKey",
    "paymentMethod",
    "penaltySettings",
    "plannedInstallmentFees",
    "prepaymentSettings",
    "principalPaymentSettings",
    "productTypeKey",
    "redrawSettings",
    "scheduleSettings",
    "settlementAccountKey",
    "taxRate",
    "tranches",
];

/// Members of `scheduleSettings`.
const SCHEDULE_SETTINGS: &[&str] = &[
    "amortizationPeriod",
    "billingCycle",
    "defaultFirstRepaymentDueDateOffset",
    "fixedDaysOfMonth",
    "gracePeriod",
    "gracePeriodType",
    "hasCustomSchedule",
    "paymentPlan",
    "periodicPayment",
    "previewSchedule",
    "principalRepaymentInterval",
    "repaymentInstallments",
    "repaymentPeriodCount",
    "repaymentPeriodUnit",
    "repaymentScheduleMethod",
    "scheduleDueDatesMethod",
    "shortMonthHandlingMethod",
];

/// Members of `interestSettings`.
const INTEREST_SETTINGS: &[&str] = &[
    "accountInterestRateSettings",
    "accrueInterestAfterMaturity",
    "accrueLateInterest",
    "interestApplicationDays",
    "interestApplicationMethod",
    "interestBalanceCalculationMethod",
    "interestCalculationMethod",
    "interestChargeFrequency",
    "interestRate",
    "interestRateReviewCount",
    "interestRateReviewUnit",
    "interestRateSource",
    "interestSpread",
    "interestType",
    "pmtAdjustmentThreshold",
];

/// Members of `disbursementDetails`.
const DISBURSEMENT_DETAILS: &[&str] = &["expectedDisbursementDate", "fees", "firstRepaymentDate", "transactionDetails"];

/// Maximum number of installments of a schedule.
const MAX_INSTALLMENTS: i64 = 1200;

/// Creates a loan account.
pub fn create(call: &mut ApiCall) -> Result<MockResponse, MambuError> {
    let input = Input::read(&call.request.body)?;
    input.allow_only(FIELDS)?;
    let holder = holder(call, &input)?;
    let product = input.text("productTypeKey")?;
    if !call.is_product(&input.required("productTypeKey", product)?) {
        return Err(INVALID_PRODUCT_KEY.at("productTypeKey"));
    }
    if input.text("assignedBranchKey")?.is_some_and(|key| !call.is_branch(&key)) {
        return Err(INVALID_BRANCH_KEY.at("assignedBranchKey"));
    }
    input.text("loanName")?;
    input.text("notes")?;
    let terms = terms(&input)?;
    let first = first_repayment(&input, &terms, call.bank.today())?;
    let schedule = terms.schedule(first).ok_or_else(|| INVALID_FIRST_REPAYMENT_DUE_DATE.without_source())?;
    let settlement = input.text("settlementAccountKey")?;
    let settlement = settlement.map(|key| call.bank.settlement(&key, &holder)).transpose()?;
    let id = input.id("id")?.unwrap_or_else(|| call.bank.loans.free_id("L"));
    if call.bank.loans.contains(&id) {
        return Err(ACCOUNT_ID_ALREADY_IN_USE.at("id"));
    }
    let now = Timestamp::now();
    let loan = LoanAccount {
        key: encoded_key(),
        id,
        holder,
        fields: input.fields,
        state: LoanState::PendingApproval,
        terms,
        settlement,
        schedule,
        has_custom_schedule: false,
        transactions: vec![],
        created: now,
        modified: now,
        approved: None,
        closed: None,
    };
    let response = json_response(201, &loan.to_json(call.bank.today()));
    call.bank.add_loan(loan);
    response
}

/// Returns the encoded key of the account holder. The request must name the client by its encoded key, not by its id.
fn holder(call: &ApiCall, input: &Input) -> Result<String, MambuError> {
    let kind = input.text("accountHolderType")?;
    if input.required("accountHolderType", kind)? != "CLIENT" {
        return Err(INVALID_PARAMETERS.at("accountHolderType"));
    }
    let key = input.text("accountHolderKey")?;
    let key = input.required("accountHolderKey", key)?;
    let client = call.bank.clients.get(&key).filter(|client| client.key == key);
    Ok(client.ok_or_else(|| INVALID_CLIENT_KEY.at("accountHolderKey"))?.key.clone())
}

/// Returns the terms of the loan.
fn terms(input: &Input) -> Result<LoanTerms, MambuError> {
    let amount = input.amount("loanAmount")?;
    let amount = input.required("loanAmount", amount)?;
    if amount <= Decimal::ZERO {
        return Err(INVALID_AMOUNT.at("loanAmount"));
    }
    let schedule = input.object("scheduleSettings")?;
    let schedule = input.required("scheduleSettings", schedule)?;
    schedule.allow_only(SCHEDULE_SETTINGS)?;
    let grace = schedule.integer("gracePeriod")?;
    // Products of Mambu may have a grace period. The product of this mock has none.
    if schedule.required("gracePeriod", grace)? != 0 {
        return Err(INVALID_GRACE_PERIOD.at(schedule.source("gracePeriod")));
    }
    let installments = schedule.integer("repaymentInstallments")?;
    let installments = schedule.required("repaymentInstallments", installments)?;
    let installments = usize::try_from(installments).ok().filter(|_| (1..=MAX_INSTALLMENTS).contains(&installments));
    let installments = installments.ok_or_else(|| INVALID_INSTALLMENTS.at(schedule.source("repaymentInstallments")))?;
    let period = schedule.integer("repaymentPeriodCount")?.unwrap_or(1);
    if !(1..=MAX_INSTALLMENTS).contains(&period) {
        return Err(INVALID_PARAMETERS.at(schedule.source("repaymentPeriodCount")));
    }
    let unit = schedule.text("repaymentPeriodUnit")?.unwrap_or_else(|| "MONTHS".to_owned());
    let unit = PeriodUnit::read(&unit);
    let unit = unit.ok_or_else(|| INVALID_PARAMETERS.at(schedule.source("repaymentPeriodUnit")))?;
    let interest = input.object("interestSettings")?;
    if let Some(interest) = &interest {
        interest.allow_only(INTEREST_SETTINGS)?;
    }
    let rate = interest.map(|interest| interest.amount("interestRate")).transpose()?.flatten();
    let rate = rate.unwrap_or(Decimal::ZERO);
    if rate < Decimal::ZERO || rate > Decimal::from(1000) {
        return Err(INVALID_INTEREST_RATE.at("interestSettings.interestRate"));
    }
    Ok(LoanTerms { amount, rate, installments, period, unit })
}

/// Returns the due date of the first installment: the requested date, or one period after the expected disbursement.
fn first_repayment(input: &Input, terms: &LoanTerms, today: Date) -> Result<Date, MambuError> {
    let details = input.object("disbursementDetails")?;
    if let Some(details) = &details {
        details.allow_only(DISBURSEMENT_DETAILS)?;
    }
    let date = |name| details.as_ref().map(|details| details.date_time(name)).transpose().map(Option::flatten);
    let disbursement = date("expectedDisbursementDate")?;
    match (date("firstRepaymentDate")?, disbursement) {
        (Some(first), Some(disbursement)) if first < disbursement => {
            Err(FIRST_REPAYMENT_DATE_BEFORE_EXPECTED_DISBURSEMENT_DATE.at("disbursementDetails.firstRepaymentDate"))
        }
        (Some(first), _) => Ok(first),
        (None, disbursement) => {
            let first = terms.unit.after(disbursement.unwrap_or(today), terms.period);
            first.ok_or_else(|| INVALID_FIRST_REPAYMENT_DUE_DATE.without_source())
        }
    }
}
