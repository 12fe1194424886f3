//! What the bank knows: clients, deposit accounts, loan accounts and their transactions.

pub mod loan;
pub mod postings;
pub mod schedule;
pub mod table;
pub mod transaction;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::dates::{instant, today};
use crate::error_codes::INVALID_SETTLEMENT_ACCOUNT_KEY;
use crate::error_codes::{ACCOUNT_ALREADY_LINKED, EXTERNAL_ID_ALREADY_EXISTS, INVALID_DEPOSIT_ACCOUNT_HOLDER, Refusal};
use crate::json::{Fields, digits_as_text};
use loan::{Loan, State};
use table::{Row, Table};
use transaction::Transaction;

/// 32 hexadecimal digits that nothing else has.
#[must_use]
pub fn encoded_key() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// A client.
pub struct Client {
    pub key: String,
    pub id: String,
    pub fields: Fields,
    pub created: Timestamp,
}

/// A deposit account, of which only being linked matters here.
pub struct Deposit {
    pub key: String,
    pub id: String,
    /// A client's encoded key.
    pub holder: Option<String>,
    pub fields: Fields,
}

impl Row for Client {
    fn id(&self) -> &str {
        &self.id
    }
    fn key(&self) -> &str {
        &self.key
    }
}

impl Row for Deposit {
    fn id(&self) -> &str {
        &self.id
    }
    fn key(&self) -> &str {
        &self.key
    }
}

impl Deposit {
    /// A deposit account of nobody's.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self { key: encoded_key(), id: id.to_owned(), holder: None, fields: Fields::default() }
    }

    /// As Mambu shows it.
    #[must_use]
    pub fn shown(&self) -> Fields {
        let mut fields = self.fields.clone();
        fields.set("encodedKey", &self.key);
        fields.set("id", &self.id);
        fields.set("accountState", "ACTIVE");
        fields
    }
}

/// Everything.
#[derive(Default)]
pub struct Bank {
    pub clients: Table<Client>,
    pub deposits: Table<Deposit>,
    pub loans: Table<Loan>,
    /// The loans of a client, both by encoded key.
    holders: HashMap<String, BTreeSet<String>>,
    /// Transactions by number: the loan's encoded key and the place there.
    transactions: BTreeMap<u64, (String, usize)>,
    /// Numbers by encoded key, and by external id.
    keys: HashMap<String, u64>,
    externals: HashMap<String, u64>,
    posted: u64,
    /// What day it is, if it is not today.
    day: Option<Date>,
}

impl Bank {
    /// An empty bank, in which it stays that day.
    #[must_use]
    pub fn new(day: Option<Date>) -> Self {
        Self { day, ..Self::default() }
    }

    #[must_use]
    pub fn today(&self) -> Date {
        self.day.unwrap_or_else(today)
    }

    /// As Mambu shows a client: active as long as one of its loans is.
    #[must_use]
    pub fn shown_client(&self, client: &Client) -> Fields {
        let mut loans = self.holders.get(&client.key).into_iter().flatten().filter_map(|key| self.loans.get(key));
        let active = loans.any(|loan| loan.state == State::Active);
        let mut fields = client.fields.clone();
        fields.set("encodedKey", &client.key);
        fields.set("id", &client.id);
        fields.set("state", if active { "ACTIVE" } else { "INACTIVE" });
        fields.set("creationDate", &instant(client.created));
        fields
    }

    /// Whether a client has loans, whatever their state.
    #[must_use]
    pub fn has_loans(&self, client: &str) -> bool {
        self.holders.get(client).is_some_and(|loans| !loans.is_empty())
    }

    /// Adds a loan of an existing client.
    pub fn add_loan(&mut self, loan: Loan) {
        self.holders.entry(loan.holder.clone()).or_default().insert(loan.key.clone());
        self.loans.add(loan);
    }

    /// Takes a loan away, with its transactions: their external ids are free again.
    pub fn remove_loan(&mut self, id: &str) {
        let Some(loan) = self.loans.remove(id) else { return };
        if let Some(loans) = self.holders.get_mut(&loan.holder) {
            loans.remove(&loan.key);
        }
        for transaction in &loan.transactions {
            self.transactions.remove(&transaction.number);
            self.keys.remove(&transaction.key);
            if let Some(external) = &transaction.external_id {
                self.externals.remove(external);
            }
        }
    }

    /// The settlement account that a loan of this client may be linked to.
    ///
    /// # Errors
    /// No such deposit account, or somebody else's.
    pub fn settlement(&self, key: &str, holder: &str) -> Result<String, Refusal> {
        let deposit = self.deposits.get(key).filter(|deposit| deposit.key == key);
        let deposit = deposit.ok_or_else(|| INVALID_SETTLEMENT_ACCOUNT_KEY.at("settlementAccountKey"))?;
        match &deposit.holder {
            Some(other) if other != holder => Err(INVALID_DEPOSIT_ACCOUNT_HOLDER.at("settlementAccountKey")),
            _ => Ok(deposit.key.clone()),
        }
    }

    /// Links a loan to a settlement account, in the place of another only if it replaces.
    ///
    /// # Errors
    /// It is linked already.
    pub fn link(loan: &mut Loan, key: String, replaces: bool) -> Result<(), Refusal> {
        if loan.settlement.is_some() && !replaces {
            return Err(ACCOUNT_ALREADY_LINKED.at("settlementAccountKey"));
        }
        loan.settlement = Some(key);
        loan.touch();
        Ok(())
    }

    /// Posts to a loan that exists: the external id has to be free, the number is the next.
    ///
    /// # Errors
    /// The external id is in use, or the loan does not allow the transaction.
    pub fn post(
        &mut self,
        loan: &str,
        external_id: Option<&str>,
        post: impl FnOnce(&mut Loan, u64) -> Result<&Transaction, Refusal>,
    ) -> Result<Option<Fields>, Refusal> {
        if external_id.is_some_and(|id| self.externals.contains_key(id)) {
            return Err(EXTERNAL_ID_ALREADY_EXISTS.at("externalId"));
        }
        let Some(loan) = self.loans.get_mut(loan) else { return Ok(None) };
        let number = self.posted + 1;
        let key = post(loan, number)?.key.clone();
        let place = loan.transactions.len() - 1;
        let shown = loan.transactions[place].shown(&loan.key);
        self.posted = number;
        self.transactions.insert(number, (loan.key.clone(), place));
        self.keys.insert(key, number);
        if let Some(id) = external_id {
            self.externals.insert(id.to_owned(), number);
        }
        Ok(Some(shown))
    }

    /// Where a transaction is, by its id or encoded key: the loan's encoded key and the place there.
    #[must_use]
    pub fn find_transaction(&self, id: &str) -> Option<(String, usize)> {
        let number = self.keys.get(id).copied().or_else(|| id.parse().ok())?;
        self.transactions.get(&number).cloned()
    }

    /// The transaction that has this external id.
    #[must_use]
    pub fn by_external_id(&self, id: &str) -> Option<(&Loan, &Transaction)> {
        let (loan, place) = self.transactions.get(self.externals.get(id)?)?;
        let loan = self.loans.get(loan)?;
        Some((loan, loan.transactions.get(*place)?))
    }

    /// All transactions, in the order in which they were posted.
    pub fn all_transactions(&self) -> impl Iterator<Item = (&Loan, &Transaction)> {
        self.transactions.values().filter_map(|(loan, place)| {
            let loan = self.loans.get(loan)?;
            Some((loan, loan.transactions.get(*place)?))
        })
    }

    /// Everything as JSON: `clients`, `deposits`, `loans`, and in each loan `schedule` and `transactions`. As
    /// Mambu shows them, but every amount is a string.
    #[must_use]
    pub fn dump(&self) -> Value {
        let text = |fields: &Fields| digits_as_text(&serde_json::to_string(fields).unwrap_or_default());
        let loan = |loan: &Loan| {
            let mut shown = text(&loan.shown(self.today()));
            let installments = loan.schedule.iter().map(|installment| text(&installment.shown(&loan.key)));
            shown["schedule"] = installments.collect();
            shown["transactions"] = loan.transactions.iter().map(|one| text(&one.shown(&loan.key))).collect();
            shown
        };
        json!({
            "clients": self.clients.iter().map(|client| text(&self.shown_client(client))).collect::<Vec<_>>(),
            "deposits": self.deposits.iter().map(|deposit| text(&deposit.shown())).collect::<Vec<_>>(),
            "loans": self.loans.iter().map(loan).collect::<Vec<_>>(),
        })
    }
}
