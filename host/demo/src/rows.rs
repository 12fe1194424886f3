//! The bank's tables: which rows a customer has in each, and what a mapper makes of them.

use super::chance::Chance;
use super::line::Fields;
use super::line::Value::{self, Digits, Midnight, Money, Null, Street, Text, Whole};
use super::portfolio::{About, Day, LAST_MONTH, Loan, account, loan, owner};

/// A legacy table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    District,
    Client,
    Account,
    Disp,
    Card,
    Loan,
    Order,
    Trans,
    Property,
    Pledge,
}

/// Names of the tables, in upload order: a table comes after those it refers to.
pub const TABLES: &[(&str, Table)] = &[
    ("district", Table::District),
    ("client", Table::Client),
    ("account", Table::Account),
    ("disp", Table::Disp),
    ("card", Table::Card),
    ("loan", Table::Loan),
    ("order", Table::Order),
    ("trans", Table::Trans),
    ("property", Table::Property),
    ("pledge", Table::Pledge),
];

/// What a row becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entity {
    Counterparty,
    Agreement,
    CollateralObject,
    Collateral,
    Disbursement,
    Repayment,
    AdditionalRepayment,
    DebitMandate,
}

/// The platform's names for what rows become, in the order of [`Entity`].
pub const ENTITY_TYPES: &[&str] = &[
    "counterparties",
    "agreements",
    "collateral-objects",
    "collaterals",
    "disbursements",
    "repayments",
    "additional-repayments",
    "debit-mandates",
];

/// A row, before it is written.
#[derive(Clone, Copy)]
pub struct Row {
    pub table: Table,
    /// Unique in its table.
    pub key: u64,
    pub fields: Fields,
    /// What it becomes, and the amount in that, in hundredths of a crown; none where it is skipped.
    pub becomes: Option<(Entity, u64)>,
}

const DISTRICTS: u64 = 77;

// Each kind of thing has numbers of its own, so that one cannot be taken for another. Customers are
// numbered from 1 and fewer than the first of these; nothing has the number at which its kind begins.
pub const ACCOUNTS: u64 = 10_000_000;
const LOANS: u64 = 20_000_000;
const DISPS: u64 = 30_000_000;
const CARDS: u64 = 40_000_000;
pub const PROPERTIES: u64 = 50_000_000;
const PLEDGES: u64 = 60_000_000;
const ORDERS_EACH: u64 = 8;
const TRANS_EACH: u64 = 128;

const TOWNS: &[(&str, &str)] = &[
    ("Praha", "11000"),
    ("Brno", "60200"),
    ("Ostrava", "70200"),
    ("Plzen", "30100"),
    ("Liberec", "46001"),
    ("Olomouc", "77900"),
    ("Hradec Kralove", "50002"),
    ("Ceske Budejovice", "37001"),
];
const REGIONS: &[&str] =
    &["Prague", "south Moravia", "north Moravia", "west Bohemia", "north Bohemia", "south Bohemia"];
const STREETS: &[&str] = &["Lipova", "Nadrazni", "Zahradni", "Skolni", "Polni", "Dlouha", "Na Kopci", "U Mlyna"];
const BANKS: &[&str] = &["AB", "CD", "EF", "GH", "IJ", "KL", "MN", "OP", "QR", "ST", "UV", "WX", "YZ"];
const PURPOSES: &[&str] = &["SIPO", "SIPO", "SIPO", " ", "POJISTNE", "LEASING"];
const KINDS: &[&str] = &["BYT", "BYT", "BYT", "DUM", "DUM", "DUM", "KANCELAR", "POZEMEK"];

/// Everyday transactions: type, operation, symbol.
const EVERYDAY: &[(&str, &str, &str)] = &[
    ("VYDAJ", "VYBER", ""),
    ("VYDAJ", "VYBER", ""),
    ("VYDAJ", "VYBER", "SLUZBY"),
    ("PRIJEM", "VKLAD", ""),
    ("PRIJEM", "", "UROK"),
    ("VYDAJ", "PREVOD NA UCET", "SIPO"),
    ("PRIJEM", "PREVOD Z UCTU", "DUCHOD"),
    ("VYBER", "VYBER", ""),
];

impl Table {
    /// How many steps it takes to go through the table; a step is a customer or a district, and has any
    /// number of rows.
    pub fn steps(self, customers: u64) -> u64 {
        if self == Table::District { DISTRICTS } else { customers }
    }

    /// The rows of one step, from 1.
    pub fn rows(self, seed: u64, step: u64, sink: &mut impl FnMut(Row)) {
        match self {
            Table::District => sink(district(seed, step)),
            Table::Client => sink(client(seed, step)),
            Table::Account => account_row(seed, step, sink),
            Table::Disp => sink(disp(seed, step)),
            Table::Card => card(seed, step, sink),
            Table::Loan => loan(seed, step).iter().for_each(|loan| sink(loan_row(loan))),
            Table::Order => orders(seed, step, sink),
            Table::Trans => transactions(seed, step, sink),
            Table::Property => pledged(seed, step).iter().for_each(|loan| sink(property(seed, loan))),
            Table::Pledge => pledged(seed, step).iter().for_each(|loan| sink(pledge(loan))),
        }
    }
}

fn row(table: Table, key: u64, becomes: Option<(Entity, u64)>, fields: &[(&'static str, Value)]) -> Row {
    Row { table, key, fields: Fields::new(fields), becomes }
}

fn district(seed: u64, key: u64) -> Row {
    let mut chance = Chance::of(seed, About::District as u64, key);
    let fields = [
        ("A1", Whole(key)),
        ("A2", Text(chance.pick(TOWNS).0)),
        ("A3", Text(chance.pick(REGIONS))),
        ("A4", Whole(chance.between(40_000, 1_200_000))),
        ("A11", Whole(chance.between(8_000, 12_500))),
    ];
    row(Table::District, key, None, &fields)
}

fn client(seed: u64, customer: u64) -> Row {
    let mut chance = Chance::of(seed, About::Client as u64, customer);
    let woman = if chance.percent(50) { 50 } else { 0 };
    let born = (chance.between(20, 70) * 100 + chance.between(1, 12) + woman) * 100 + chance.between(1, 28);
    let district = chance.between(1, DISTRICTS);
    let fields = [("client_id", Whole(customer)), ("birth_number", Digits(born, 6)), ("district_id", Whole(district))];
    row(Table::Client, customer, Some((Entity::Counterparty, 0)), &fields)
}

fn account_row(seed: u64, customer: u64, sink: &mut impl FnMut(Row)) {
    let Some(account) = account(seed, customer) else { return };
    let key = ACCOUNTS + account.owner;
    let mut chance = Chance::of(seed, About::District as u64, key);
    let fields = [
        ("account_id", Whole(key)),
        ("district_id", Whole(chance.between(1, DISTRICTS))),
        ("frequency", Text(if chance.percent(93) { "POPLATEK MESICNE" } else { "POPLATEK TYDNE" })),
        ("date", Whole(account.opened.yymmdd())),
    ];
    sink(row(Table::Account, key, None, &fields));
}

fn disp(seed: u64, customer: u64) -> Row {
    let owner = owner(seed, customer);
    let fields = [
        ("disp_id", Whole(DISPS + customer)),
        ("client_id", Whole(customer)),
        ("account_id", Whole(ACCOUNTS + owner)),
        ("type", Text(if owner == customer { "OWNER" } else { "DISPONENT" })),
    ];
    row(Table::Disp, DISPS + customer, None, &fields)
}

fn card(seed: u64, customer: u64, sink: &mut impl FnMut(Row)) {
    let mut chance = Chance::of(seed, About::Card as u64, customer);
    let Some(account) = account(seed, customer).filter(|_| chance.percent(20)) else { return };
    let issued = Day { day: chance.between(1, 28), ..account.opened };
    let fields = [
        ("card_id", Whole(CARDS + customer)),
        ("disp_id", Whole(DISPS + customer)),
        ("type", Text(chance.pick(&["classic", "classic", "classic", "junior", "gold"]))),
        ("issued", Midnight(issued.yymmdd())),
    ];
    sink(row(Table::Card, CARDS + customer, None, &fields));
}

fn loan_row(loan: &Loan) -> Row {
    let key = LOANS + loan.owner;
    let fields = [
        ("loan_id", Whole(key)),
        ("account_id", Whole(ACCOUNTS + loan.owner)),
        ("date", Whole(loan.start.yymmdd())),
        ("amount", Whole(loan.amount() / 100)),
        ("duration", Whole(loan.duration)),
        ("payments", Money(loan.payment)),
        ("status", Text(loan.status)),
    ];
    row(Table::Loan, key, Some((Entity::Agreement, loan.amount())), &fields)
}

/// Standing orders: some for this and that, and one that pays the loan where there is one.
fn orders(seed: u64, customer: u64, sink: &mut impl FnMut(Row)) {
    if account(seed, customer).is_none() {
        return;
    }
    let mut chance = Chance::of(seed, About::Order as u64, customer);
    let mut number = customer * ORDERS_EACH;
    let mut order = |chance: &mut Chance, amount, symbol, becomes| {
        let fields = [
            ("order_id", Whole(number)),
            ("account_id", Whole(ACCOUNTS + customer)),
            ("bank_to", Text(chance.pick(BANKS))),
            ("account_to", Digits(chance.below(100_000_000), 8)),
            ("amount", Money(amount)),
            ("k_symbol", Text(symbol)),
        ];
        sink(row(Table::Order, number, becomes, &fields));
        number += 1;
    };
    if let Some(loan) = loan(seed, customer) {
        order(&mut chance, loan.payment, "UVER", Some((Entity::DebitMandate, loan.payment)));
    }
    for _ in 0..chance.pick(&[0, 1, 1, 1, 2, 2]) {
        let (amount, symbol) = (chance.between(10, 9_999) * 10, chance.pick(PURPOSES));
        order(&mut chance, amount, symbol, None);
    }
}

/// Everyday transactions, and those of the loan: paid out once, paid back month by month.
fn transactions(seed: u64, customer: u64, sink: &mut impl FnMut(Row)) {
    let Some(account) = account(seed, customer) else { return };
    let mut chance = Chance::of(seed, About::Trans as u64, customer);
    let mut number = customer * TRANS_EACH;
    let mut trans = |chance: &mut Chance, day: Day, (kind, operation, symbol), amount, becomes: Option<Entity>| {
        let elsewhere = operation == "PREVOD NA UCET" || operation == "PREVOD Z UCTU";
        let fields = [
            ("trans_id", Whole(number)),
            ("account_id", Whole(ACCOUNTS + customer)),
            ("date", Whole(day.yymmdd())),
            ("type", Text(kind)),
            ("operation", Text(operation)),
            ("amount", Money(amount)),
            ("balance", Money(chance.below(1_000_000) * 10)),
            ("k_symbol", Text(symbol)),
            ("bank", if elsewhere { Text(chance.pick(BANKS)) } else { Null }),
            ("account", if elsewhere { Digits(chance.below(100_000_000), 8) } else { Null }),
        ];
        sink(row(Table::Trans, number, becomes.map(|entity| (entity, amount)), &fields));
        number += 1;
    };
    for _ in 0..chance.between(4, 10) {
        let day = Day { month: chance.between(account.opened.month, LAST_MONTH), day: chance.between(1, 28) };
        let (what, amount) = (chance.pick(EVERYDAY), chance.between(1, 100_000) * 10);
        trans(&mut chance, day, what, amount, None);
    }
    let Some(loan) = loan(seed, customer) else { return };
    let paid_out = ("PRIJEM", "PREVOD Z UCTU", "UVER_VYPLATA");
    trans(&mut chance, loan.start, paid_out, loan.amount(), Some(Entity::Disbursement));
    for payment in 1..=loan.paid {
        let paid = ("VYDAJ", "PREVOD NA UCET", "UVER");
        trans(&mut chance, loan.paid_on(payment), paid, loan.payment, Some(Entity::Repayment));
    }
    if let Some(amount) = loan.early {
        let early = ("VYDAJ", "PREVOD NA UCET", "UVER_MIMO");
        trans(&mut chance, loan.paid_on(loan.paid), early, amount, Some(Entity::AdditionalRepayment));
    }
}

fn pledged(seed: u64, customer: u64) -> Option<Loan> {
    loan(seed, customer).filter(|loan| loan.pledged)
}

/// What is pledged is worth more than the loan.
fn property(seed: u64, loan: &Loan) -> Row {
    let key = PROPERTIES + loan.owner;
    let mut chance = Chance::of(seed, About::Property as u64, loan.owner);
    let value = loan.amount() / 10_000 * chance.between(110, 250);
    let (city, zip) = chance.pick(TOWNS);
    let fields = [
        ("property_id", Whole(key)),
        ("kind", Text(chance.pick(KINDS))),
        ("value", Money(value * 100)),
        ("valued", Whole(loan.start.yymmdd())),
        ("street", Street(chance.pick(STREETS), chance.between(1, 200))),
        ("zip", Text(zip)),
        ("city", Text(city)),
    ];
    row(Table::Property, key, Some((Entity::CollateralObject, value * 100)), &fields)
}

fn pledge(loan: &Loan) -> Row {
    let key = PLEDGES + loan.owner;
    let fields = [
        ("pledge_id", Whole(key)),
        ("loan_id", Whole(LOANS + loan.owner)),
        ("property_id", Whole(PROPERTIES + loan.owner)),
        ("client_id", Whole(loan.owner)),
        ("rank", Whole(1)),
        ("amount", Whole(loan.amount() / 100)),
    ];
    row(Table::Pledge, key, Some((Entity::Collateral, loan.amount())), &fields)
}
