//! Plans of loans: an agreement becomes one loan per facility, with its approval, disbursements, fees and repayments.

use sluice_sdk::json::{Node, constant, value};
use sluice_sdk::minor_units;
use sluice_sdk::platform::{Bundle, Call, Flow, Plan, answer};
use sluice_sdk::prelude::*;

use crate::balance::LoanBalance;
use crate::clients::CLIENT_KEY;
use crate::describe::*;
use crate::mambu_id;
use crate::records::{Agreement, Facility, LoanBundle, Role, Status};
use crate::terms::{amount, instant, is_default_schedule, percentage, schedule_body, terms};

/// A fee or repayment on a loan.
struct Posting {
    /// Value date.
    day: Date,
    /// True for a fee, false for a repayment.
    is_fee: bool,
    id: Id,
    /// Amount, in minor units.
    units: i64,
    /// Facility, if the record names it.
    facility: Option<Id>,
}

/// Plans the loans of an agreement. An agreement with several facilities and a posting that does not name its facility
/// gets an issue.
pub(crate) fn plan(bundle: &Bundle, plan: &mut Plan) -> Result<(), Finding> {
    let loans: LoanBundle = bundle.parse();
    let agreement = &loans.record;
    let postings = postings(&loans)?;
    if agreement.facilities.len() > 1 && postings.iter().any(|posting| posting.facility.is_none()) {
        return Err(finding(TWO_FACILITIES, "facilities"));
    }
    agreement.facilities.iter().enumerate().try_for_each(|(index, facility)| {
        let id = mambu_id(facility.reference_id);
        let planner = LoanPlanner { bundle, loans: &loans, agreement, facility, id, index };
        planner.plan(&postings, plan)
    })
}

/// Returns the fees and repayments of an agreement, in order of their value dates. On one day, fees come first.
fn postings(loans: &LoanBundle) -> Result<Vec<Posting>, Finding> {
    let units = |money: &Money| {
        minor_units(money.amount.0, &money.currency).ok_or_else(|| finding("OUT_OF_RANGE", "facilities"))
    };
    let mut postings = vec![];
    for paid in &loans.repayments {
        postings.push(Posting {
            day: paid.effective_date,
            is_fee: false,
            id: paid.reference_id,
            units: units(&paid.amount)?,
            facility: None,
        });
    }
    for paid in loans.additional_repayments.iter().filter(|paid| paid.status == "Final") {
        let (day, id) = (paid.effective_date, paid.reference_id);
        if let Some(amount) = &paid.amount {
            postings.push(Posting { day, is_fee: false, id, units: units(amount)?, facility: None });
        }
        for part in paid.facilities.iter().flatten() {
            let facility = part.facility_reference_id;
            // Each part needs an id of its own.
            let id = reference_id(id.bytes(), "facility", facility);
            let units = units(&part.amount)?;
            postings.push(Posting { day, is_fee: false, id, units, facility: Some(facility) });
        }
        if let Some(fee) = &paid.administration_fee {
            // The fee needs an id other than that of its repayment.
            let id = reference_id(id.bytes(), "fee", "");
            postings.push(Posting { day, is_fee: true, id, units: units(fee)?, facility: None });
        }
    }
    postings.retain(|posting| posting.units > 0);
    postings.sort_by_key(|posting| (posting.day, !posting.is_fee, posting.id));
    Ok(postings)
}

/// A planner of the calls for one loan.
struct LoanPlanner<'a> {
    bundle: &'a Bundle<'a>,
    loans: &'a LoanBundle<'a>,
    agreement: &'a Agreement<'a>,
    facility: &'a Facility<'a>,
    /// Id of the loan in Mambu.
    id: String,
    /// Index of the facility in the agreement.
    index: usize,
}

impl LoanPlanner<'_> {
    /// Returns the path of a field of the facility, for an issue.
    fn field(&self, name: &str) -> String {
        format!("facilities[{}].{name}", self.index)
    }

    /// Returns a path below that of the loan.
    fn path(&self, suffix: &'static str) -> Vec<Node> {
        vec![constant("/loans/"), value(&self.id), constant(suffix)]
    }

    /// Returns a call about the loan, at a path below that of the loan.
    fn call(&self, step: &str, suffix: &'static str) -> Call {
        Call::new(step, &self.id, format!("{step}:{}", self.id), self.path(suffix))
    }

    /// Plans all calls for the loan.
    fn plan(&self, postings: &[Posting], plan: &mut Plan) -> Result<(), Finding> {
        let no_schedule = || finding(NO_SCHEDULE, self.field("termInMonths"));
        let currency = &*self.facility.amount.currency;
        let terms = terms(self.agreement, self.facility).ok_or_else(no_schedule)?;
        let installments = terms.installments().ok_or_else(no_schedule)?;
        let fewest = self.bundle.flow == Flow::Fewest;
        let has_account = self.settlement_account(plan);
        self.creation(has_account && fewest, plan)?;
        match has_account {
            true if fewest => plan.save(SETTLEMENT_LINK),
            true => plan.call(self.call(SETTLEMENT_LINK, "").body(self.link())),
            false => {}
        }
        if fewest && is_default_schedule(self.facility, &installments) {
            plan.save(SCHEDULE);
        } else {
            plan.call(
                self.call(SCHEDULE, "/schedule").body(schedule_body(&installments, currency).ok_or_else(no_schedule)?),
            );
        }
        let disbursements = self.disbursements();
        let units = |amount: &Amount| minor_units(amount.0, currency).ok_or_else(no_schedule);
        let sum = disbursements.iter().map(|(.., amount)| units(amount)).sum::<Result<i64, Finding>>()?;
        let mut balance = LoanBalance::new(&installments, sum);
        let state = if self.agreement.status == Status::Draft {
            "PENDING_APPROVAL"
        } else {
            self.approval(plan);
            self.plan_disbursements(disbursements, plan);
            self.plan_postings(postings, &mut balance, plan)?;
            if balance.is_paid() { "CLOSED" } else { "ACTIVE" }
        };
        let scale = |units| sluice_sdk::from_minor_units(units, currency).map(|amount| amount.0).unwrap_or_default();
        // A draft is not disbursed, so nothing is outstanding.
        let principal = if self.agreement.status == Status::Draft { Decimal::ZERO } else { scale(balance.principal()) };
        plan.expect(LOANS, &self.id, state, &[self.facility.amount.amount.0, principal]);
        Ok(())
    }

    /// Plans the call that reads the key of the settlement account, which a mandate names. Returns true if there is a
    /// mandate.
    fn settlement_account(&self, plan: &mut Plan) -> bool {
        let Some(mandate) = self.loans.debit_mandates.first() else { return false };
        let account: String = mandate.debtor_account.chars().filter(char::is_ascii_alphanumeric).collect();
        let path = vec![constant("/deposits/"), value(&account)];
        let id = format!("{SETTLEMENT_ACCOUNT}:{}", self.id);
        plan.call(Call::new(SETTLEMENT_ACCOUNT, &self.id, id, path).keeps("encodedKey", self.settlement_key()));
        true
    }

    /// Returns the name under which the key of the settlement account is kept.
    fn settlement_key(&self) -> String {
        format!("settlement-{}", self.index)
    }

    /// Returns the key of the settlement account, as a value of an earlier response.
    fn settlement(&self) -> Node {
        answer(LOANS, self.loans.record.reference_id, self.settlement_key())
    }

    /// Returns the body of the call that links the settlement account.
    fn link(&self) -> Node {
        let operation =
            [("op", constant("ADD")), ("path", constant("settlementAccountKey")), ("value", self.settlement())];
        Node::List(vec![Node::Object(operation.into())])
    }

    /// Plans the creation of the loan. Names the settlement account if `has_account` is true.
    fn creation(&self, has_account: bool, plan: &mut Plan) -> Result<(), Finding> {
        let Agreement { borrowers, start_date, .. } = self.agreement;
        let main = borrowers.iter().find(|borrower| borrower.role == Role::Main).ok_or_else(|| missing("borrowers"))?;
        let product = self.bundle.setting(PRODUCT_KEY).unwrap_or_default();
        let Facility { amount, term_in_months, first_repayment_date, .. } = self.facility;
        let mut dates = vec![("expectedDisbursementDate", value(instant(*start_date)))];
        dates.extend(first_repayment_date.map(|day| ("firstRepaymentDate", value(instant(day)))));
        let schedule = vec![
            ("repaymentInstallments", value(term_in_months)),
            ("repaymentPeriodCount", constant(1)),
            ("repaymentPeriodUnit", constant("MONTHS")),
            ("gracePeriod", constant(0)),
        ];
        let mut fields = vec![
            ("id", value(&self.id)),
            ("accountHolderKey", answer(CLIENTS, main.counterparty_reference_id, CLIENT_KEY)),
            ("accountHolderType", constant("CLIENT")),
            ("productTypeKey", constant(product)),
            ("loanAmount", value(amount.amount)),
            ("scheduleSettings", Node::Object(schedule)),
            ("interestSettings", Node::Object(vec![("interestRate", value(percentage(self.facility)))])),
            ("disbursementDetails", Node::Object(dates)),
        ];
        fields.extend(self.bundle.setting(BRANCH_KEY).map(|key| ("assignedBranchKey", constant(key))));
        if has_account {
            fields.push(("settlementAccountKey", self.settlement()));
        }
        let id = format!("{LOAN_CREATION}:{}", self.id);
        let call = Call::new(LOAN_CREATION, &self.id, id, vec![constant("/loans")]).body(Node::Object(fields));
        plan.call(call.found_at(format!("/loans/{}", self.id)).undone_by("DELETE", self.path(""), None));
        Ok(())
    }

    /// Plans the approval of the loan.
    fn approval(&self, plan: &mut Plan) {
        let body = |action: &str| Node::Object(vec![("action", constant(action))]);
        let call = self.call(APPROVAL, ":changeState").body(body("APPROVE"));
        let changed = call.changed_at(format!("/loans/{}", self.id), "accountState", "PENDING_APPROVAL");
        plan.call(changed.undone_by("POST", self.path(":changeState"), Some(body("UNDO_APPROVE"))));
    }

    /// Returns the disbursements of the facility: day, id and amount. Without a disbursement record, the whole amount
    /// counts as disbursed on the start date of the agreement.
    fn disbursements(&self) -> Vec<(Date, Id, Amount)> {
        let own =
            self.loans.disbursements.iter().filter(|paid| paid.facility_reference_id == self.facility.reference_id);
        let mut own: Vec<(Date, Id, Amount)> =
            own.map(|paid| (paid.effective_date, paid.reference_id, paid.amount.amount)).collect();
        own.sort();
        if own.is_empty() {
            let id = reference_id(self.facility.reference_id.bytes(), "disbursement", "");
            own.push((self.agreement.start_date, id, self.facility.amount.amount));
        }
        own
    }

    /// Plans the disbursements.
    fn plan_disbursements(&self, disbursements: Vec<(Date, Id, Amount)>, plan: &mut Plan) {
        for (day, id, amount) in disbursements {
            let mut fields = vec![
                ("valueDate", value(instant(day))),
                ("amount", value(amount)),
                ("externalId", value(mambu_id(id))),
            ];
            let first = self.facility.first_repayment_date.filter(|_| self.bundle.flow == Flow::Fewest);
            fields.extend(first.map(|day| ("firstRepaymentDate", value(instant(day)))));
            self.post(DISBURSEMENT, "/disbursement-transactions", id, fields, plan);
            plan.expect(TRANSACTIONS, mambu_id(id), DISBURSEMENT_TYPE, &[amount.0]);
        }
    }

    /// Plans the fees and repayments, and applies them to the balance. Repayments that exceed the balance give an
    /// issue.
    fn plan_postings(&self, postings: &[Posting], balance: &mut LoanBalance, plan: &mut Plan) -> Result<(), Finding> {
        let currency = &*self.facility.amount.currency;
        let is_own = |posting: &&Posting| posting.facility.is_none_or(|id| id == self.facility.reference_id);
        for posting in postings.iter().filter(is_own) {
            let too_much = || finding("OUT_OF_RANGE", self.field("amount"));
            let sum = sluice_sdk::from_minor_units(posting.units, currency).ok_or_else(too_much)?.0;
            let mut fields = vec![
                ("amount", amount(posting.units, currency).ok_or_else(too_much)?),
                ("valueDate", value(instant(posting.day))),
                ("externalId", value(mambu_id(posting.id))),
            ];
            if posting.is_fee {
                let number = balance.add_fee(posting.day, posting.units).ok_or_else(too_much)?;
                fields.push(("installmentNumber", value(number)));
                fields.extend(self.bundle.setting(FEE_KEY).map(|key| ("predefinedFeeKey", constant(key))));
                self.post(FEE, "/fee-transactions", posting.id, fields, plan);
                plan.expect(TRANSACTIONS, mambu_id(posting.id), FEE_TYPE, &[sum]);
            } else {
                if balance.repay(posting.units) > 0 {
                    return Err(finding(OVERPAID, "facilities"));
                }
                self.post(REPAYMENT, "/repayment-transactions", posting.id, fields, plan);
                plan.expect(TRANSACTIONS, mambu_id(posting.id), REPAYMENT_TYPE, &[sum]);
            }
        }
        Ok(())
    }

    /// Plans the posting of a transaction.
    fn post(&self, step: &str, suffix: &'static str, id: Id, fields: Vec<(&'static str, Node)>, plan: &mut Plan) {
        let external = mambu_id(id);
        let key = format!("{step}-{external}");
        let call =
            Call::new(step, &self.id, format!("{step}:{external}"), self.path(suffix)).body(Node::Object(fields));
        let undo = vec![
            constant("/loans/transactions/"),
            answer(LOANS, self.loans.record.reference_id, &key),
            constant(":adjust"),
        ];
        let notes = Node::Object(vec![("notes", constant("The migration was taken back."))]);
        plan.call(
            call.keeps("encodedKey", key)
                .listed_at(format!("/loans/{}/transactions", self.id), "externalId", &external)
                .undone_by("POST", undo, Some(notes)),
        );
    }
}
