//! An agreement becomes a loan for each of its facilities, approved, paid out, and repaid as far as it was.

use sluice_sdk::json::{Node, constant, value};
use sluice_sdk::minor_units;
use sluice_sdk::platform::{Bundle, Call, Flow, Plan, answer};
use sluice_sdk::prelude::*;

use crate::clients::KEY;
use crate::describe::*;
use crate::records::{Agreement, Facility, LoanBundle, Role, Status};
use crate::repaid::Owed;
use crate::short;
use crate::terms::{amount, edited, instant, made_by_product, percentage, terms};

/// Something that is posted on a loan, by its day; of one day, fees come first.
struct Posting {
    day: Date,
    fee: bool,
    id: Id,
    units: i64,
}

pub fn plan(bundle: &Bundle, plan: &mut Plan) -> Result<(), Finding> {
    let loans: LoanBundle = bundle.parse();
    let agreement = &loans.record;
    let postings = postings(&loans)?;
    if agreement.facilities.len() > 1 && !postings.is_empty() {
        return Err(finding(TWO_FACILITIES, "facilities"));
    }
    agreement.facilities.iter().enumerate().try_for_each(|(index, facility)| {
        let loan = Loan { bundle, loans: &loans, agreement, facility, id: short(facility.reference_id), index };
        loan.plan(&postings, plan)
    })
}

/// Fees and repayments in their order.
fn postings(loans: &LoanBundle) -> Result<Vec<Posting>, Finding> {
    let units = |money: &Money| {
        minor_units(money.amount.0, &money.currency).ok_or_else(|| finding("OUT_OF_RANGE", "facilities"))
    };
    let mut postings = vec![];
    for paid in &loans.repayments {
        postings.push(Posting {
            day: paid.effective_date,
            fee: false,
            id: paid.reference_id,
            units: units(&paid.amount)?,
        });
    }
    for paid in loans.additional_repayments.iter().filter(|paid| paid.status == "Final") {
        let (day, id) = (paid.effective_date, paid.reference_id);
        postings.push(Posting { day, fee: false, id, units: units(&paid.amount)? });
        if let Some(fee) = &paid.administration_fee {
            // What it is known by has to be a name of its own.
            let id = reference_id(id.bytes(), "fee", "");
            postings.push(Posting { day, fee: true, id, units: units(fee)? });
        }
    }
    postings.retain(|posting| posting.units > 0);
    postings.sort_by_key(|posting| (posting.day, !posting.fee, posting.id));
    Ok(postings)
}

struct Loan<'a> {
    bundle: &'a Bundle<'a>,
    loans: &'a LoanBundle<'a>,
    agreement: &'a Agreement<'a>,
    facility: &'a Facility<'a>,
    id: String,
    index: usize,
}

impl Loan<'_> {
    fn field(&self, name: &str) -> String {
        format!("facilities[{}].{name}", self.index)
    }

    fn path(&self, more: &'static str) -> Vec<Node> {
        vec![constant("/loans/"), value(&self.id), constant(more)]
    }

    fn call(&self, step: &str, more: &'static str) -> Call {
        Call::new(step, &self.id, format!("{step}:{}", self.id), self.path(more))
    }

    fn plan(&self, postings: &[Posting], plan: &mut Plan) -> Result<(), Finding> {
        let no_schedule = || finding(NO_SCHEDULE, self.field("termInMonths"));
        let currency = &*self.facility.amount.currency;
        let terms = terms(self.agreement, self.facility).ok_or_else(no_schedule)?;
        let installments = terms.installments().ok_or_else(no_schedule)?;
        let fewest = self.bundle.flow == Flow::Fewest;
        let settled = self.settlement_account(plan);
        self.creation(settled && fewest, plan)?;
        match settled {
            true if fewest => plan.save(SETTLEMENT_LINK),
            true => plan.call(self.call(SETTLEMENT_LINK, "").body(self.link())),
            false => {}
        }
        if fewest && made_by_product(self.facility, &installments) {
            plan.save(SCHEDULE);
        } else {
            plan.call(self.call(SCHEDULE, "/schedule").body(edited(&installments, currency).ok_or_else(no_schedule)?));
        }
        let paid_out = self.paid_out();
        let units = |amount: &Amount| minor_units(amount.0, currency).ok_or_else(no_schedule);
        let sum = paid_out.iter().map(|(.., amount)| units(amount)).sum::<Result<i64, Finding>>()?;
        let mut owed = Owed::new(&installments, sum);
        let state = if self.agreement.status == Status::Draft {
            "PENDING_APPROVAL"
        } else {
            self.approval(plan);
            self.disbursements(paid_out, plan);
            self.postings(postings, &mut owed, plan)?;
            if owed.is_paid() { "CLOSED" } else { "ACTIVE" }
        };
        let scale = |units| sluice_sdk::from_minor_units(units, currency).map(|amount| amount.0).unwrap_or_default();
        // What was not paid out is not owed yet.
        let balance = if self.agreement.status == Status::Draft { Decimal::ZERO } else { scale(owed.principal()) };
        plan.expect(LOANS, &self.id, state, &[self.facility.amount.amount.0, balance]);
        Ok(())
    }

    /// Asks for the key of the account that a mandate names; whether there is one.
    fn settlement_account(&self, plan: &mut Plan) -> bool {
        let Some(mandate) = self.loans.debit_mandates.first() else { return false };
        let account: String = mandate.debtor_account.chars().filter(char::is_ascii_alphanumeric).collect();
        let path = vec![constant("/deposits/"), value(&account)];
        let id = format!("{SETTLEMENT_ACCOUNT}:{}", self.id);
        plan.call(Call::new(SETTLEMENT_ACCOUNT, &self.id, id, path).keeps("encodedKey", self.settlement_key()));
        true
    }

    fn settlement_key(&self) -> String {
        format!("settlement-{}", self.index)
    }

    fn settlement(&self) -> Node {
        answer(LOANS, self.loans.record.reference_id, self.settlement_key())
    }

    fn link(&self) -> Node {
        let operation =
            [("op", constant("ADD")), ("path", constant("settlementAccountKey")), ("value", self.settlement())];
        Node::List(vec![Node::Object(operation.into())])
    }

    fn creation(&self, settled: bool, plan: &mut Plan) -> Result<(), Finding> {
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
            ("accountHolderKey", answer(CLIENTS, main.counterparty_reference_id, KEY)),
            ("accountHolderType", constant("CLIENT")),
            ("productTypeKey", constant(product)),
            ("loanAmount", value(amount.amount)),
            ("scheduleSettings", Node::Object(schedule)),
            ("interestSettings", Node::Object(vec![("interestRate", value(percentage(self.facility)))])),
            ("disbursementDetails", Node::Object(dates)),
        ];
        fields.extend(self.bundle.setting(BRANCH_KEY).map(|key| ("assignedBranchKey", constant(key))));
        if settled {
            fields.push(("settlementAccountKey", self.settlement()));
        }
        let id = format!("{LOAN_CREATION}:{}", self.id);
        let call = Call::new(LOAN_CREATION, &self.id, id, vec![constant("/loans")]).body(Node::Object(fields));
        plan.call(call.found_at(format!("/loans/{}", self.id)).undone_by("DELETE", self.path(""), None));
        Ok(())
    }

    fn approval(&self, plan: &mut Plan) {
        let body = |action: &str| Node::Object(vec![("action", constant(action))]);
        let call = self.call(APPROVAL, ":changeState").body(body("APPROVE"));
        let changed = call.changed_at(format!("/loans/{}", self.id), "accountState", "PENDING_APPROVAL");
        plan.call(changed.undone_by("POST", self.path(":changeState"), Some(body("UNDO_APPROVE"))));
    }

    /// What was paid out; where no record says so, all of it on the day on which the agreement began.
    fn paid_out(&self) -> Vec<(Date, Id, Amount)> {
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

    fn disbursements(&self, paid_out: Vec<(Date, Id, Amount)>, plan: &mut Plan) {
        for (day, id, amount) in paid_out {
            let mut fields =
                vec![("valueDate", value(instant(day))), ("amount", value(amount)), ("externalId", value(short(id)))];
            let first = self.facility.first_repayment_date.filter(|_| self.bundle.flow == Flow::Fewest);
            fields.extend(first.map(|day| ("firstRepaymentDate", value(instant(day)))));
            self.post(DISBURSEMENT, "/disbursement-transactions", id, fields, plan);
            plan.expect(TRANSACTIONS, short(id), DISBURSEMENT_TYPE, &[amount.0]);
        }
    }

    fn postings(&self, postings: &[Posting], owed: &mut Owed, plan: &mut Plan) -> Result<(), Finding> {
        let currency = &*self.facility.amount.currency;
        for posting in postings {
            let too_much = || finding("OUT_OF_RANGE", self.field("amount"));
            let sum = sluice_sdk::from_minor_units(posting.units, currency).ok_or_else(too_much)?.0;
            let mut fields = vec![
                ("amount", amount(posting.units, currency).ok_or_else(too_much)?),
                ("valueDate", value(instant(posting.day))),
                ("externalId", value(short(posting.id))),
            ];
            if posting.fee {
                let number = owed.add_fee(posting.day, posting.units).ok_or_else(too_much)?;
                fields.push(("installmentNumber", value(number)));
                fields.extend(self.bundle.setting(FEE_KEY).map(|key| ("predefinedFeeKey", constant(key))));
                self.post(FEE, "/fee-transactions", posting.id, fields, plan);
                plan.expect(TRANSACTIONS, short(posting.id), FEE_TYPE, &[sum]);
            } else {
                if owed.repay(posting.units) > 0 {
                    return Err(finding(OVERPAID, "facilities"));
                }
                self.post(REPAYMENT, "/repayment-transactions", posting.id, fields, plan);
                plan.expect(TRANSACTIONS, short(posting.id), REPAYMENT_TYPE, &[sum]);
            }
        }
        Ok(())
    }

    fn post(&self, step: &str, more: &'static str, id: Id, fields: Vec<(&'static str, Node)>, plan: &mut Plan) {
        let external = short(id);
        let key = format!("{step}-{external}");
        let call = Call::new(step, &self.id, format!("{step}:{external}"), self.path(more)).body(Node::Object(fields));
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
