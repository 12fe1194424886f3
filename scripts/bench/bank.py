"""The synthetic bank of `sluice demo` as files. The same customers and seed give the same bytes."""

import multiprocessing
import os
from pathlib import Path

TABLES = ["district", "client", "account", "disp", "card", "loan", "order", "trans", "property", "pledge"]

#: FNV-1a hash over all tables of 100 customers with seed 1. The test in `host/demo/src/bank.rs` has the same value.
FINGERPRINT = 0x74D2_90A4_FF2A_B9B9

#: Approximate number of source records of a customer.
RECORDS_EACH = 14.19

MASK = (1 << 64) - 1
STEP = 0x9E37_79B9_7F4A_7C15
BLOCK, LOAN_SHARE, LAST_MONTH, DISTRICTS = 6, 18, 71, 77
PURPOSE_BLOCK, PURPOSE_CLIENT, PURPOSE_DISTRICT, PURPOSE_ACCOUNT, PURPOSE_LOAN = 1, 2, 3, 4, 5
PURPOSE_CARD, PURPOSE_ORDER, PURPOSE_TRANS, PURPOSE_PROPERTY = 6, 7, 8, 9
ACCOUNTS, LOANS, DISPS = 10_000_000, 20_000_000, 30_000_000
CARDS, PROPERTIES, PLEDGES = 40_000_000, 50_000_000, 60_000_000
ORDERS_EACH, TRANS_EACH = 8, 128

TOWNS = [
    ("Praha", "11000"), ("Brno", "60200"), ("Ostrava", "70200"), ("Plzen", "30100"), ("Liberec", "46001"),
    ("Olomouc", "77900"), ("Hradec Kralove", "50002"), ("Ceske Budejovice", "37001"),
]  # fmt: skip
REGIONS = ["Prague", "south Moravia", "north Moravia", "west Bohemia", "north Bohemia", "south Bohemia"]
STREETS = ["Lipova", "Nadrazni", "Zahradni", "Skolni", "Polni", "Dlouha", "Na Kopci", "U Mlyna"]
BANKS = ["AB", "CD", "EF", "GH", "IJ", "KL", "MN", "OP", "QR", "ST", "UV", "WX", "YZ"]
PURPOSES = ["SIPO", "SIPO", "SIPO", " ", "POJISTNE", "LEASING"]
PROPERTY_KINDS = ["BYT", "BYT", "BYT", "DUM", "DUM", "DUM", "KANCELAR", "POZEMEK"]
CARD_TYPES = ["classic", "classic", "classic", "junior", "gold"]
EVERYDAY = [
    ("VYDAJ", "VYBER", ""), ("VYDAJ", "VYBER", ""), ("VYDAJ", "VYBER", "SLUZBY"), ("PRIJEM", "VKLAD", ""),
    ("PRIJEM", "", "UROK"), ("VYDAJ", "PREVOD NA UCET", "SIPO"), ("PRIJEM", "PREVOD Z UCTU", "DUCHOD"),
    ("VYBER", "VYBER", ""),
]  # fmt: skip


def mix(number):
    """Returns the output of the SplitMix64 finalizer."""
    mixed = (number + STEP) & MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58_476D_1CE4_E5B9) & MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D0_49BB_1331_11EB) & MASK
    return mixed ^ (mixed >> 31)


class KeyedRandom:
    """A random generator that depends only on seed, purpose and key."""

    __slots__ = ("state",)

    def __init__(self, seed, purpose, key):
        self.state = mix(mix(mix(seed) ^ purpose) ^ key)

    def below(self, bound):
        """Returns the next number, uniform in 0..bound."""
        drawn = mix(self.state)
        self.state = (self.state + STEP) & MASK
        return (drawn * bound) >> 64

    def between(self, first, last):
        """Returns the next number, uniform in first..=last."""
        return first + self.below(last - first + 1)

    def pick(self, choices):
        """Returns a random element."""
        return choices[self.below(len(choices))]

    def percent(self, share):
        """Returns true with a probability of `share` per cent."""
        return self.below(100) < share


def yymmdd(month, day):
    """Returns a date as YYMMDD. The month is counted from 1993-01."""
    return ((93 + month // 12) * 100 + month % 12 + 1) * 100 + day


def money(hundredths):
    """Formats an amount in crowns with one or two decimals."""
    whole, rest = divmod(hundredths, 100)
    return f"{whole}.{rest // 10}" if rest % 10 == 0 else f"{whole}.{rest:02}"


def owner(seed, customer):
    """Returns the owner of the account of a customer, usually the customer."""
    block, place = divmod(customer - 1, BLOCK)
    without = KeyedRandom(seed, PURPOSE_BLOCK, block).between(1, BLOCK - 1)
    return customer - 1 if place == without else customer


def account_opening(seed, customer):
    """Returns month and day of the opening of the customer's own account, or none."""
    if owner(seed, customer) != customer:
        return None
    rng = KeyedRandom(seed, PURPOSE_ACCOUNT, customer)
    return rng.below(LAST_MONTH - 11), rng.between(1, 28)


class Loan:
    """A loan on the customer's own account. Amounts are in hundredths of a crown."""

    __slots__ = ("owner", "month", "day", "payment", "duration", "status", "paid", "early", "pledged")

    def amount(self):
        """Returns the principal."""
        return self.payment * self.duration


def loan_of(seed, customer, opening):
    """Returns the loan on an account with this opening date, or none."""
    rng = KeyedRandom(seed, PURPOSE_LOAN, customer)
    if not rng.percent(LOAN_SHARE):
        return None
    loan = Loan()
    loan.owner = customer
    loan.day = rng.between(1, 28)
    loan.month = opening[0] + rng.between(1, 12)
    loan.payment = rng.between(300, 9_900) * 100
    loan.duration = rng.pick([12, 24, 36, 48, 60])
    sound, loan.pledged = rng.percent(88), rng.percent(50)
    behind = rng.between(1, 3)
    passed = LAST_MONTH - loan.month
    due = min(passed, loan.duration)
    loan.status = ("A" if sound else "B") if passed >= loan.duration else ("C" if sound else "D")
    loan.paid = due if sound else max(due - behind, 0)
    early = loan.status == "C" and loan.duration - loan.paid > 4 and rng.percent(10)
    loan.early = 2 * loan.payment if early else None
    return loan


def district(seed, key):
    """Returns the line of a district."""
    rng = KeyedRandom(seed, PURPOSE_DISTRICT, key)
    town, region = rng.pick(TOWNS)[0], rng.pick(REGIONS)
    people, pay = rng.between(40_000, 1_200_000), rng.between(8_000, 12_500)
    return f'{{"A1":{key},"A2":"{town}","A3":"{region}","A4":{people},"A11":{pay}}}\n'


def client(seed, customer):
    """Returns the line of a client."""
    rng = KeyedRandom(seed, PURPOSE_CLIENT, customer)
    woman = 50 if rng.percent(50) else 0
    born = (rng.between(20, 70) * 100 + rng.between(1, 12) + woman) * 100 + rng.between(1, 28)
    return f'{{"client_id":{customer},"birth_number":"{born:06}","district_id":{rng.between(1, DISTRICTS)}}}\n'


def account_line(seed, customer, opening):
    """Returns the line of an account."""
    key = ACCOUNTS + customer
    rng = KeyedRandom(seed, PURPOSE_DISTRICT, key)
    at = rng.between(1, DISTRICTS)
    often = "POPLATEK MESICNE" if rng.percent(93) else "POPLATEK TYDNE"
    return f'{{"account_id":{key},"district_id":{at},"frequency":"{often}","date":{yymmdd(*opening)}}}\n'


def disp(seed, customer):
    """Returns the line that assigns a customer to an account."""
    holder = owner(seed, customer)
    kind = "OWNER" if holder == customer else "DISPONENT"
    return f'{{"disp_id":{DISPS + customer},"client_id":{customer},"account_id":{ACCOUNTS + holder},"type":"{kind}"}}\n'


def card(seed, customer, opening):
    """Returns the line of a card, or an empty string."""
    rng = KeyedRandom(seed, PURPOSE_CARD, customer)
    if not rng.percent(20):
        return ""
    day = rng.between(1, 28)
    return (
        f'{{"card_id":{CARDS + customer},"disp_id":{DISPS + customer},"type":"{rng.pick(CARD_TYPES)}",'
        f'"issued":"{yymmdd(opening[0], day):06} 00:00:00"}}\n'
    )


def loan_line(loan):
    """Returns the line of a loan."""
    return (
        f'{{"loan_id":{LOANS + loan.owner},"account_id":{ACCOUNTS + loan.owner},"date":{yymmdd(loan.month, loan.day)},'
        f'"amount":{loan.amount() // 100},"duration":{loan.duration},"payments":{money(loan.payment)},'
        f'"status":"{loan.status}"}}\n'
    )


def orders(seed, customer, loan):
    """Returns the standing orders of an account. The first one repays the loan."""
    rng = KeyedRandom(seed, PURPOSE_ORDER, customer)
    lines = []

    def order(amount, symbol):
        number = customer * ORDERS_EACH + len(lines)
        bank, other = rng.pick(BANKS), rng.below(100_000_000)
        lines.append(
            f'{{"order_id":{number},"account_id":{ACCOUNTS + customer},"bank_to":"{bank}",'
            f'"account_to":"{other:08}","amount":{money(amount)},"k_symbol":"{symbol}"}}\n'
        )

    if loan:
        order(loan.payment, "UVER")
    for _ in range(rng.pick([0, 1, 1, 1, 2, 2])):
        amount, symbol = rng.between(10, 9_999) * 10, rng.pick(PURPOSES)
        order(amount, symbol)
    return lines


def transactions(seed, customer, opening, loan):
    """Returns the transactions of an account: everyday ones, then those of the loan."""
    rng = KeyedRandom(seed, PURPOSE_TRANS, customer)
    lines = []

    def trans(date, kind, operation, symbol, amount):
        number = customer * TRANS_EACH + len(lines)
        balance = rng.below(1_000_000) * 10
        elsewhere = "null", "null"
        if operation in ("PREVOD NA UCET", "PREVOD Z UCTU"):
            elsewhere = f'"{rng.pick(BANKS)}"', f'"{rng.below(100_000_000):08}"'
        lines.append(
            f'{{"trans_id":{number},"account_id":{ACCOUNTS + customer},"date":{date},"type":"{kind}",'
            f'"operation":"{operation}","amount":{money(amount)},"balance":{money(balance)},"k_symbol":"{symbol}",'
            f'"bank":{elsewhere[0]},"account":{elsewhere[1]}}}\n'
        )

    for _ in range(rng.between(4, 10)):
        month, day = rng.between(opening[0], LAST_MONTH), rng.between(1, 28)
        what, amount = rng.pick(EVERYDAY), rng.between(1, 100_000) * 10
        trans(yymmdd(month, day), *what, amount)
    if not loan:
        return lines
    trans(yymmdd(loan.month, loan.day), "PRIJEM", "PREVOD Z UCTU", "UVER_VYPLATA", loan.amount())
    for payment in range(1, loan.paid + 1):
        trans(yymmdd(loan.month + payment, loan.day), "VYDAJ", "PREVOD NA UCET", "UVER", loan.payment)
    if loan.early:
        date = yymmdd(loan.month + loan.paid, loan.day)
        trans(date, "VYDAJ", "PREVOD NA UCET", "UVER_MIMO", loan.early)
    return lines


def property_line(seed, loan):
    """Returns the line of a property, worth more than the loan."""
    rng = KeyedRandom(seed, PURPOSE_PROPERTY, loan.owner)
    value = loan.amount() // 10_000 * rng.between(110, 250)
    city, zip_code = rng.pick(TOWNS)
    kind = rng.pick(PROPERTY_KINDS)
    street, number = rng.pick(STREETS), rng.between(1, 200)
    return (
        f'{{"property_id":{PROPERTIES + loan.owner},"kind":"{kind}","value":{money(value * 100)},'
        f'"valued":{yymmdd(loan.month, loan.day)},"street":"{street} {number}","zip":"{zip_code}","city":"{city}"}}\n'
    )


def pledge(loan):
    """Returns the line of a pledge."""
    return (
        f'{{"pledge_id":{PLEDGES + loan.owner},"loan_id":{LOANS + loan.owner},'
        f'"property_id":{PROPERTIES + loan.owner},"client_id":{loan.owner},"rank":1,"amount":{loan.amount() // 100}}}\n'
    )


def tables_of(seed, customers):
    """Returns the lines of these customers by table."""
    lines = {table: [] for table in TABLES}
    for customer in customers:
        lines["client"].append(client(seed, customer))
        lines["disp"].append(disp(seed, customer))
        opening = account_opening(seed, customer)
        if opening is None:
            continue
        lines["account"].append(account_line(seed, customer, opening))
        lines["card"].append(card(seed, customer, opening))
        loan = loan_of(seed, customer, opening)
        lines["order"] += orders(seed, customer, loan)
        lines["trans"] += transactions(seed, customer, opening, loan)
        if loan:
            lines["loan"].append(loan_line(loan))
            if loan.pledged:
                lines["property"].append(property_line(seed, loan))
                lines["pledge"].append(pledge(loan))
    return {table: "".join(of) for table, of in lines.items()}


def _make_part(task):
    """Returns encoded lines and their number by table, for a range of customers."""
    seed, first, last = task
    tables = tables_of(seed, range(first, last))
    return {table: (text.encode(), text.count("\n")) for table, text in tables.items()}


def check_fingerprint():
    """Exits if this is not the bank of `sluice demo`."""
    tables = tables_of(1, range(1, 101))
    tables["district"] = "".join(district(1, key) for key in range(1, DISTRICTS + 1))
    digest = 0xCBF2_9CE4_8422_2325
    for table in TABLES:
        for byte in tables[table].encode():
            digest = ((digest ^ byte) * 0x100_0000_01B3) & MASK
    if digest != FINGERPRINT:
        raise SystemExit("scripts/bench/bank.py and host/demo/src/bank.rs generate different banks")


def customers_for(records):
    """Returns the number of customers with approximately this number of source records."""
    return max(1, round((records - DISTRICTS) / RECORDS_EACH))


def write(folder, customers, seed=1):
    """Writes the tables of a bank into a folder unless they exist. Returns the number of records by table."""
    folder = Path(folder)
    ready = folder / "ready"
    if ready.exists():
        lines = [line.split() for line in ready.read_text().splitlines()]
        return {table: int(count) for table, count in lines}
    check_fingerprint()
    folder.mkdir(parents=True, exist_ok=True)
    counts = dict.fromkeys(TABLES, 0)
    files = {table: (folder / f"{table}.jsonl").open("wb") for table in TABLES}
    files["district"].write("".join(district(seed, key) for key in range(1, DISTRICTS + 1)).encode())
    counts["district"] = DISTRICTS
    tasks = [(seed, first, min(first + 2_000, customers + 1)) for first in range(1, customers + 1, 2_000)]
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for part in pool.imap(_make_part, tasks):
            for table, (data, count) in part.items():
                files[table].write(data)
                counts[table] += count
    for file in files.values():
        file.close()
    ready.write_text("".join(f"{table} {count}\n" for table, count in counts.items()))
    return counts
