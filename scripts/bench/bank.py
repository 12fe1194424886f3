"""The synthetic bank of `sluice demo`, written as files: the same customers and seed give the same bytes."""

import multiprocessing
import os
from pathlib import Path

TABLES = ["district", "client", "account", "disp", "card", "loan", "order", "trans", "property", "pledge"]

#: FNV-1a over all tables of 100 customers with seed 1, as `host/src/demo/bank.rs` has it in its test.
FINGERPRINT = 0x74D2_90A4_FF2A_B9B9

#: Source records of a customer, about: how many customers make a bank of so many records.
RECORDS_EACH = 14.19

MASK = (1 << 64) - 1
STEP = 0x9E37_79B9_7F4A_7C15
BLOCK, LOAN_SHARE, LAST_MONTH, DISTRICTS = 6, 18, 71, 77
ABOUT_BLOCK, ABOUT_CLIENT, ABOUT_DISTRICT, ABOUT_ACCOUNT, ABOUT_LOAN = 1, 2, 3, 4, 5
ABOUT_CARD, ABOUT_ORDER, ABOUT_TRANS, ABOUT_PROPERTY = 6, 7, 8, 9
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
KINDS = ["BYT", "BYT", "BYT", "DUM", "DUM", "DUM", "KANCELAR", "POZEMEK"]
CARD_TYPES = ["classic", "classic", "classic", "junior", "gold"]
EVERYDAY = [
    ("VYDAJ", "VYBER", ""), ("VYDAJ", "VYBER", ""), ("VYDAJ", "VYBER", "SLUZBY"), ("PRIJEM", "VKLAD", ""),
    ("PRIJEM", "", "UROK"), ("VYDAJ", "PREVOD NA UCET", "SIPO"), ("PRIJEM", "PREVOD Z UCTU", "DUCHOD"),
    ("VYBER", "VYBER", ""),
]  # fmt: skip


def mix(number):
    """The finalizer of SplitMix64."""
    mixed = (number + STEP) & MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58_476D_1CE4_E5B9) & MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D0_49BB_1331_11EB) & MASK
    return mixed ^ (mixed >> 31)


class Chance:
    """What seed, purpose and key alone decide."""

    __slots__ = ("state",)

    def __init__(self, seed, purpose, key):
        self.state = mix(mix(mix(seed) ^ purpose) ^ key)

    def below(self, bound):
        """The next number, evenly spread over 0..bound."""
        drawn = mix(self.state)
        self.state = (self.state + STEP) & MASK
        return (drawn * bound) >> 64

    def between(self, first, last):
        """The next number, evenly spread over first..=last."""
        return first + self.below(last - first + 1)

    def pick(self, choices):
        """One of these."""
        return choices[self.below(len(choices))]

    def percent(self, share):
        """Whether something happens that happens so often in a hundred."""
        return self.below(100) < share


def yymmdd(month, day):
    """A day of the books, its month counted from 1993-01."""
    return ((93 + month // 12) * 100 + month % 12 + 1) * 100 + day


def money(hundredths):
    """Crowns, with as few fraction digits as do, and one at least."""
    whole, rest = divmod(hundredths, 100)
    return f"{whole}.{rest // 10}" if rest % 10 == 0 else f"{whole}.{rest:02}"


def owner(seed, customer):
    """On whose account a customer is: mostly their own."""
    block, place = divmod(customer - 1, BLOCK)
    without = Chance(seed, ABOUT_BLOCK, block).between(1, BLOCK - 1)
    return customer - 1 if place == without else customer


def account(seed, customer):
    """Month and day on which the customer's own account was opened, or none."""
    if owner(seed, customer) != customer:
        return None
    chance = Chance(seed, ABOUT_ACCOUNT, customer)
    return chance.below(LAST_MONTH - 11), chance.between(1, 28)


class Loan:
    """A loan on the customer's own account, amounts in hundredths of a crown."""

    __slots__ = ("owner", "month", "day", "payment", "duration", "status", "paid", "early", "pledged")

    def amount(self):
        """What was lent."""
        return self.payment * self.duration


def loan_of(seed, customer, opened):
    """The loan on an account that was opened then, or none."""
    chance = Chance(seed, ABOUT_LOAN, customer)
    if not chance.percent(LOAN_SHARE):
        return None
    loan = Loan()
    loan.owner = customer
    loan.day = chance.between(1, 28)
    loan.month = opened[0] + chance.between(1, 12)
    loan.payment = chance.between(300, 9_900) * 100
    loan.duration = chance.pick([12, 24, 36, 48, 60])
    sound, loan.pledged = chance.percent(88), chance.percent(50)
    behind = chance.between(1, 3)
    passed = LAST_MONTH - loan.month
    due = min(passed, loan.duration)
    loan.status = ("A" if sound else "B") if passed >= loan.duration else ("C" if sound else "D")
    loan.paid = due if sound else max(due - behind, 0)
    early = loan.status == "C" and loan.duration - loan.paid > 4 and chance.percent(10)
    loan.early = 2 * loan.payment if early else None
    return loan


def district(seed, key):
    """A district's line."""
    chance = Chance(seed, ABOUT_DISTRICT, key)
    town, region = chance.pick(TOWNS)[0], chance.pick(REGIONS)
    people, pay = chance.between(40_000, 1_200_000), chance.between(8_000, 12_500)
    return f'{{"A1":{key},"A2":"{town}","A3":"{region}","A4":{people},"A11":{pay}}}\n'


def client(seed, customer):
    """A client's line."""
    chance = Chance(seed, ABOUT_CLIENT, customer)
    woman = 50 if chance.percent(50) else 0
    born = (chance.between(20, 70) * 100 + chance.between(1, 12) + woman) * 100 + chance.between(1, 28)
    return f'{{"client_id":{customer},"birth_number":"{born:06}","district_id":{chance.between(1, DISTRICTS)}}}\n'


def account_line(seed, customer, opened):
    """An account's line."""
    key = ACCOUNTS + customer
    chance = Chance(seed, ABOUT_DISTRICT, key)
    at = chance.between(1, DISTRICTS)
    often = "POPLATEK MESICNE" if chance.percent(93) else "POPLATEK TYDNE"
    return f'{{"account_id":{key},"district_id":{at},"frequency":"{often}","date":{yymmdd(*opened)}}}\n'


def disp(seed, customer):
    """The line that says on whose account a customer is."""
    holder = owner(seed, customer)
    kind = "OWNER" if holder == customer else "DISPONENT"
    return f'{{"disp_id":{DISPS + customer},"client_id":{customer},"account_id":{ACCOUNTS + holder},"type":"{kind}"}}\n'


def card(seed, customer, opened):
    """A card's line, or nothing."""
    chance = Chance(seed, ABOUT_CARD, customer)
    if not chance.percent(20):
        return ""
    day = chance.between(1, 28)
    return (
        f'{{"card_id":{CARDS + customer},"disp_id":{DISPS + customer},"type":"{chance.pick(CARD_TYPES)}",'
        f'"issued":"{yymmdd(opened[0], day):06} 00:00:00"}}\n'
    )


def loan_line(loan):
    """A loan's line."""
    return (
        f'{{"loan_id":{LOANS + loan.owner},"account_id":{ACCOUNTS + loan.owner},"date":{yymmdd(loan.month, loan.day)},'
        f'"amount":{loan.amount() // 100},"duration":{loan.duration},"payments":{money(loan.payment)},'
        f'"status":"{loan.status}"}}\n'
    )


def orders(seed, customer, loan):
    """An account's standing orders: the one that pays the loan first."""
    chance = Chance(seed, ABOUT_ORDER, customer)
    lines = []

    def order(amount, symbol):
        number = customer * ORDERS_EACH + len(lines)
        bank, other = chance.pick(BANKS), chance.below(100_000_000)
        lines.append(
            f'{{"order_id":{number},"account_id":{ACCOUNTS + customer},"bank_to":"{bank}",'
            f'"account_to":"{other:08}","amount":{money(amount)},"k_symbol":"{symbol}"}}\n'
        )

    if loan:
        order(loan.payment, "UVER")
    for _ in range(chance.pick([0, 1, 1, 1, 2, 2])):
        amount, symbol = chance.between(10, 9_999) * 10, chance.pick(PURPOSES)
        order(amount, symbol)
    return lines


def transactions(seed, customer, opened, loan):
    """An account's transactions: everyday ones, then those of the loan."""
    chance = Chance(seed, ABOUT_TRANS, customer)
    lines = []

    def trans(date, kind, operation, symbol, amount):
        number = customer * TRANS_EACH + len(lines)
        balance = chance.below(1_000_000) * 10
        elsewhere = "null", "null"
        if operation in ("PREVOD NA UCET", "PREVOD Z UCTU"):
            elsewhere = f'"{chance.pick(BANKS)}"', f'"{chance.below(100_000_000):08}"'
        lines.append(
            f'{{"trans_id":{number},"account_id":{ACCOUNTS + customer},"date":{date},"type":"{kind}",'
            f'"operation":"{operation}","amount":{money(amount)},"balance":{money(balance)},"k_symbol":"{symbol}",'
            f'"bank":{elsewhere[0]},"account":{elsewhere[1]}}}\n'
        )

    for _ in range(chance.between(4, 10)):
        month, day = chance.between(opened[0], LAST_MONTH), chance.between(1, 28)
        what, amount = chance.pick(EVERYDAY), chance.between(1, 100_000) * 10
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
    """What is pledged is worth more than the loan."""
    chance = Chance(seed, ABOUT_PROPERTY, loan.owner)
    value = loan.amount() // 10_000 * chance.between(110, 250)
    city, zip_code = chance.pick(TOWNS)
    kind = chance.pick(KINDS)
    street, number = chance.pick(STREETS), chance.between(1, 200)
    return (
        f'{{"property_id":{PROPERTIES + loan.owner},"kind":"{kind}","value":{money(value * 100)},'
        f'"valued":{yymmdd(loan.month, loan.day)},"street":"{street} {number}","zip":"{zip_code}","city":"{city}"}}\n'
    )


def pledge(loan):
    """A pledge's line."""
    return (
        f'{{"pledge_id":{PLEDGES + loan.owner},"loan_id":{LOANS + loan.owner},'
        f'"property_id":{PROPERTIES + loan.owner},"client_id":{loan.owner},"rank":1,"amount":{loan.amount() // 100}}}\n'
    )


def tables_of(seed, customers):
    """The lines of these customers, by table."""
    lines = {table: [] for table in TABLES}
    for customer in customers:
        lines["client"].append(client(seed, customer))
        lines["disp"].append(disp(seed, customer))
        opened = account(seed, customer)
        if opened is None:
            continue
        lines["account"].append(account_line(seed, customer, opened))
        lines["card"].append(card(seed, customer, opened))
        loan = loan_of(seed, customer, opened)
        lines["order"] += orders(seed, customer, loan)
        lines["trans"] += transactions(seed, customer, opened, loan)
        if loan:
            lines["loan"].append(loan_line(loan))
            if loan.pledged:
                lines["property"].append(property_line(seed, loan))
                lines["pledge"].append(pledge(loan))
    return {table: "".join(of) for table, of in lines.items()}


def _part(task):
    """What one process makes at a time."""
    seed, first, last = task
    made = tables_of(seed, range(first, last))
    return {table: (text.encode(), text.count("\n")) for table, text in made.items()}


def check():
    """Stops where this is no longer the bank of `sluice demo`."""
    made = tables_of(1, range(1, 101))
    made["district"] = "".join(district(1, key) for key in range(1, DISTRICTS + 1))
    digest = 0xCBF2_9CE4_8422_2325
    for table in TABLES:
        for byte in made[table].encode():
            digest = ((digest ^ byte) * 0x100_0000_01B3) & MASK
    if digest != FINGERPRINT:
        raise SystemExit("scripts/bench/bank.py and host/src/demo no longer make the same bank")


def customers_for(records):
    """How many customers have about so many source records."""
    return max(1, round((records - DISTRICTS) / RECORDS_EACH))


def write(folder, customers, seed=1):
    """Writes a bank's tables into a folder, unless they are there; how many records each has."""
    folder = Path(folder)
    ready = folder / "ready"
    if ready.exists():
        lines = [line.split() for line in ready.read_text().splitlines()]
        return {table: int(count) for table, count in lines}
    check()
    folder.mkdir(parents=True, exist_ok=True)
    counts = dict.fromkeys(TABLES, 0)
    files = {table: (folder / f"{table}.jsonl").open("wb") for table in TABLES}
    files["district"].write("".join(district(seed, key) for key in range(1, DISTRICTS + 1)).encode())
    counts["district"] = DISTRICTS
    tasks = [(seed, first, min(first + 2_000, customers + 1)) for first in range(1, customers + 1, 2_000)]
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for part in pool.imap(_part, tasks):
            for table, (data, count) in part.items():
                files[table].write(data)
                counts[table] += count
    for file in files.values():
        file.close()
    ready.write_text("".join(f"{table} {count}\n" for table, count in counts.items()))
    return counts
