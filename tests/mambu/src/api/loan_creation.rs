//! Making a loan account, with the schedule that follows from its terms.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::{Call, shown};
use crate::bank::encoded_key;
use crate::bank::loan::{Loan, State};
use crate::bank::schedule::Terms;
use crate::dates::PeriodUnit;
use crate::error_codes::{
    ACCOUNT_ID_ALREADY_IN_USE, FIRST_REPAYMENT_DATE_BEFORE_EXPECTED_DISBURSEMENT_DATE, INVALID_AMOUNT,
    INVALID_BRANCH_KEY, INVALID_CLIENT_KEY, INVALID_FIRST_REPAYMENT_DUE_DATE, INVALID_GRACE_PERIOD,
    INVALID_INSTALLMENTS, INVALID_INTEREST_RATE, INVALID_PARAMETERS, INVALID_PRODUCT_KEY, Refusal,
};
use crate::http::Answer;
use crate::json::Input;

/// What a loan account is created from.
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

const DISBURSEMENT_DETAILS: &[&str] = &["expectedDisbursementDate", "fees", "firstRepaymentDate", "transactionDetails"];

/// Installments that a schedule may have.
const MOST_INSTALLMENTS: i64 = 1200;

pub fn create(call: &mut Call) -> Result<Answer, Refusal> {
    let input = Input::read(&call.request.body)?;
    input.only(FIELDS)?;
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
    let schedule = terms.schedule(first).ok_or_else(|| INVALID_FIRST_REPAYMENT_DUE_DATE.plain())?;
    let settlement = input.text("settlementAccountKey")?;
    let settlement = settlement.map(|key| call.bank.settlement(&key, &holder)).transpose()?;
    let id = input.id("id")?.unwrap_or_else(|| call.bank.loans.free_id("L"));
    if call.bank.loans.has(&id) {
        return Err(ACCOUNT_ID_ALREADY_IN_USE.at("id"));
    }
    let now = Timestamp::now();
    let loan = Loan {
        key: encoded_key(),
        id,
        holder,
        fields: input.fields,
        state: State::PendingApproval,
        terms,
        settlement,
        schedule,
        edited: false,
        transactions: vec![],
        created: now,
        modified: now,
        approved: None,
        closed: None,
    };
    let answer = shown(201, &loan.shown(call.bank.today()));
    call.bank.add_loan(loan);
    answer
}

/// The client whose loan it is to be, by encoded key and no other way.
fn holder(call: &Call, input: &Input) -> Result<String, Refusal> {
    let kind = input.text("accountHolderType")?;
    if input.required("accountHolderType", kind)? != "CLIENT" {
        return Err(INVALID_PARAMETERS.at("accountHolderType"));
    }
    let key = input.text("accountHolderKey")?;
    let key = input.required("accountHolderKey", key)?;
    let client = call.bank.clients.get(&key).filter(|client| client.key == key);
    Ok(client.ok_or_else(|| INVALID_CLIENT_KEY.at("accountHolderKey"))?.key.clone())
}

fn terms(input: &Input) -> Result<Terms, Refusal> {
    let amount = input.amount("loanAmount")?;
    let amount = input.required("loanAmount", amount)?;
    if amount <= Decimal::ZERO {
        return Err(INVALID_AMOUNT.at("loanAmount"));
    }
    let schedule = input.object("scheduleSettings")?;
    let schedule = input.required("scheduleSettings", schedule)?;
    schedule.only(SCHEDULE_SETTINGS)?;
    let grace = schedule.integer("gracePeriod")?;
    // Mambu's products may have one; the stand-in's has none.
    if schedule.required("gracePeriod", grace)? != 0 {
        return Err(INVALID_GRACE_PERIOD.at(schedule.source("gracePeriod")));
    }
    let installments = schedule.integer("repaymentInstallments")?;
    let installments = schedule.required("repaymentInstallments", installments)?;
    let installments = usize::try_from(installments).ok().filter(|_| (1..=MOST_INSTALLMENTS).contains(&installments));
    let installments = installments.ok_or_else(|| INVALID_INSTALLMENTS.at(schedule.source("repaymentInstallments")))?;
    let period = schedule.integer("repaymentPeriodCount")?.unwrap_or(1);
    if !(1..=MOST_INSTALLMENTS).contains(&period) {
        return Err(INVALID_PARAMETERS.at(schedule.source("repaymentPeriodCount")));
    }
    let unit = schedule.text("repaymentPeriodUnit")?.unwrap_or_else(|| "MONTHS".to_owned());
    let unit = PeriodUnit::read(&unit);
    let unit = unit.ok_or_else(|| INVALID_PARAMETERS.at(schedule.source("repaymentPeriodUnit")))?;
    let interest = input.object("interestSettings")?;
    if let Some(interest) = &interest {
        interest.only(INTEREST_SETTINGS)?;
    }
    let rate = interest.map(|interest| interest.amount("interestRate")).transpose()?.flatten();
    let rate = rate.unwrap_or(Decimal::ZERO);
    if rate < Decimal::ZERO || rate > Decimal::from(1000) {
        return Err(INVALID_INTEREST_RATE.at("interestSettings.interestRate"));
    }
    Ok(Terms { amount, rate, installments, period, unit })
}

/// When the first installment is due: as it is said, or else a period after the disbursement is expected.
fn first_repayment(input: &Input, terms: &Terms, today: Date) -> Result<Date, Refusal> {
    let details = input.object("disbursementDetails")?;
    if let Some(details) = &details {
        details.only(DISBURSEMENT_DETAILS)?;
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
            first.ok_or_else(|| INVALID_FIRST_REPAYMENT_DUE_DATE.plain())
        }
    }
}
