//! State of the bank: clients, deposit accounts, loan accounts and their transactions.

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
use crate::error_codes::{
    ACCOUNT_ALREADY_LINKED, EXTERNAL_ID_ALREADY_EXISTS, INVALID_DEPOSIT_ACCOUNT_HOLDER, MambuError,
};
use crate::json::{JsonObject, numbers_as_strings};
use loan::{LoanAccount, LoanState};
use table::{BankEntity, EntityTable};
use transaction::LoanTransaction;

/// Returns a unique encoded key of 32 hexadecimal digits.
#[must_use]
pub fn encoded_key() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// A client.
pub struct BankClient {
    /// Encoded key.
    pub key: String,
    /// Id.
    pub id: String,
    /// Members of the request that created the client.
    pub fields: JsonObject,
    /// Time of creation.
    pub created: Timestamp,
}

/// A deposit account. The mock uses it only as a settlement account.
pub struct DepositAccount {
    /// Encoded key.
    pub key: String,
    /// Id.
    pub id: String,
    /// Encoded key of a client.
    pub holder: Option<String>,
    /// Members of the request that created the account.
    pub fields: JsonObject,
}

impl BankEntity for BankClient {
    fn id(&self) -> &str {
        &self.id
    }
    fn key(&self) -> &str {
        &self.key
    }
}

impl BankEntity for DepositAccount {
    fn id(&self) -> &str {
        &self.id
    }
    fn key(&self) -> &str {
        &self.key
    }
}

impl DepositAccount {
    /// Creates a deposit account without a holder.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self { key: encoded_key(), id: id.to_owned(), holder: None, fields: JsonObject::default() }
    }

    /// Returns the account in Mambu's format.
    #[must_use]
    pub fn to_json(&self) -> JsonObject {
        let mut fields = self.fields.clone();
        fields.set("encodedKey", &self.key);
        fields.set("id", &self.id);
        fields.set("accountState", "ACTIVE");
        fields
    }
}

/// State of the bank.
#[derive(Default)]
pub struct MockBank {
    /// Clients.
    pub clients: EntityTable<BankClient>,
    /// Deposit accounts.
    pub deposits: EntityTable<DepositAccount>,
    /// Loan accounts.
    pub loans: EntityTable<LoanAccount>,
    /// Encoded keys of loans by encoded key of the client.
    holders: HashMap<String, BTreeSet<String>>,
    /// Encoded key of the loan and position in the loan, by transaction number.
    transactions: BTreeMap<u64, (String, usize)>,
    /// Transaction numbers by encoded key.
    keys: HashMap<String, u64>,
    /// Transaction numbers by external id.
    external_ids: HashMap<String, u64>,
    /// Number of the last posted transaction.
    last_number: u64,
    /// Fixed current day. The actual day if none.
    day: Option<Date>,
}

impl MockBank {
    /// Creates an empty bank with a fixed current day.
    #[must_use]
    pub fn new(day: Option<Date>) -> Self {
        Self { day, ..Self::default() }
    }

    /// Returns the current day of the bank.
    #[must_use]
    pub fn today(&self) -> Date {
        self.day.unwrap_or_else(today)
    }

    /// Returns a client in Mambu's format. It is active while one of its loans is.
    #[must_use]
    pub fn client_json(&self, client: &BankClient) -> JsonObject {
        let mut loans = self.holders.get(&client.key).into_iter().flatten().filter_map(|key| self.loans.get(key));
        let active = loans.any(|loan| loan.state == LoanState::Active);
        let mut fields = client.fields.clone();
        fields.set("encodedKey", &client.key);
        fields.set("id", &client.id);
        fields.set("state", if active { "ACTIVE" } else { "INACTIVE" });
        fields.set("creationDate", &instant(client.created));
        fields
    }

    /// Returns true if a client has a loan in any state.
    #[must_use]
    pub fn has_loans(&self, client: &str) -> bool {
        self.holders.get(client).is_some_and(|loans| !loans.is_empty())
    }

    /// Adds a loan. Its client must exist.
    pub fn add_loan(&mut self, loan: LoanAccount) {
        self.holders.entry(loan.holder.clone()).or_default().insert(loan.key.clone());
        self.loans.add(loan);
    }

    /// Removes a loan with its transactions. Their external ids become free.
    pub fn remove_loan(&mut self, id: &str) {
        let Some(loan) = self.loans.remove(id) else { return };
        if let Some(loans) = self.holders.get_mut(&loan.holder) {
            loans.remove(&loan.key);
        }
        for transaction in &loan.transactions {
            self.transactions.remove(&transaction.number);
            self.keys.remove(&transaction.key);
            if let Some(external) = &transaction.external_id {
                self.external_ids.remove(external);
            }
        }
    }

    /// Returns the encoded key of a deposit account that may be the settlement account of a loan of this client.
    ///
    /// # Errors
    /// Fails if the deposit account does not exist or belongs to another client.
    pub fn settlement(&self, key: &str, holder: &str) -> Result<String, MambuError> {
        let deposit = self.deposits.get(key).filter(|deposit| deposit.key == key);
        let deposit = deposit.ok_or_else(|| INVALID_SETTLEMENT_ACCOUNT_KEY.at("settlementAccountKey"))?;
        match &deposit.holder {
            Some(other) if other != holder => Err(INVALID_DEPOSIT_ACCOUNT_HOLDER.at("settlementAccountKey")),
            _ => Ok(deposit.key.clone()),
        }
    }

    /// Links a loan to a settlement account. Replaces an existing link only if `replaces` is true.
    ///
    /// # Errors
    /// Fails if the loan has a settlement account and `replaces` is false.
    pub fn link(loan: &mut LoanAccount, key: String, replaces: bool) -> Result<(), MambuError> {
        if loan.settlement.is_some() && !replaces {
            return Err(ACCOUNT_ALREADY_LINKED.at("settlementAccountKey"));
        }
        loan.settlement = Some(key);
        loan.touch();
        Ok(())
    }

    /// Posts a transaction with the next number. Returns its JSON, or none if the loan does not exist.
    ///
    /// # Errors
    /// Fails if the external id is in use or the loan does not allow the transaction.
    pub fn post(
        &mut self,
        loan: &str,
        external_id: Option<&str>,
        post: impl FnOnce(&mut LoanAccount, u64) -> Result<&LoanTransaction, MambuError>,
    ) -> Result<Option<JsonObject>, MambuError> {
        if external_id.is_some_and(|id| self.external_ids.contains_key(id)) {
            return Err(EXTERNAL_ID_ALREADY_EXISTS.at("externalId"));
        }
        let Some(loan) = self.loans.get_mut(loan) else { return Ok(None) };
        let number = self.last_number + 1;
        let key = post(loan, number)?.key.clone();
        let position = loan.transactions.len() - 1;
        let json = loan.transactions[position].to_json(&loan.key);
        self.last_number = number;
        self.transactions.insert(number, (loan.key.clone(), position));
        self.keys.insert(key, number);
        if let Some(id) = external_id {
            self.external_ids.insert(id.to_owned(), number);
        }
        Ok(Some(json))
    }

    /// Finds a transaction by id or encoded key. Returns the encoded key of the loan and the position in the loan.
    #[must_use]
    pub fn find_transaction(&self, id: &str) -> Option<(String, usize)> {
        let number = self.keys.get(id).copied().or_else(|| id.parse().ok())?;
        self.transactions.get(&number).cloned()
    }

    /// Returns the transaction with this external id, and its loan.
    #[must_use]
    pub fn transaction_by_external_id(&self, id: &str) -> Option<(&LoanAccount, &LoanTransaction)> {
        let (loan, position) = self.transactions.get(self.external_ids.get(id)?)?;
        let loan = self.loans.get(loan)?;
        Some((loan, loan.transactions.get(*position)?))
    }

    /// Returns all transactions with their loans, in the order of posting.
    pub fn all_transactions(&self) -> impl Iterator<Item = (&LoanAccount, &LoanTransaction)> {
        self.transactions.values().filter_map(|(loan, position)| {
            let loan = self.loans.get(loan)?;
            Some((loan, loan.transactions.get(*position)?))
        })
    }

    /// Returns the state as JSON: `clients`, `deposits` and `loans`, each loan with `schedule` and `transactions`. The
    /// format is Mambu's, except that every amount is a string.
    #[must_use]
    pub fn dump(&self) -> Value {
        let text = |fields: &JsonObject| numbers_as_strings(&serde_json::to_string(fields).unwrap_or_default());
        let loan = |loan: &LoanAccount| {
            let mut json = text(&loan.to_json(self.today()));
            let installments = loan.schedule.iter().map(|installment| text(&installment.to_json(&loan.key)));
            json["schedule"] = installments.collect();
            json["transactions"] = loan.transactions.iter().map(|one| text(&one.to_json(&loan.key))).collect();
            json
        };
        json!({
            "clients": self.clients.iter().map(|client| text(&self.client_json(client))).collect::<Vec<_>>(),
            "deposits": self.deposits.iter().map(|deposit| text(&deposit.to_json())).collect::<Vec<_>>(),
            "loans": self.loans.iter().map(loan).collect::<Vec<_>>(),
        })
    }
}
