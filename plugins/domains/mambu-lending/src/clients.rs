//! Plans of clients: a person becomes a client.

use sluice_sdk::json::{Node, constant, value};
use sluice_sdk::platform::{Bundle, Call, Plan};
use sluice_sdk::prelude::*;

use crate::describe::{BRANCH_KEY, CLIENT_CREATION, CLIENTS, ORGANISATION};
use crate::mambu_id;
use crate::records::{Address, ClientBundle};

/// Name under which the key of a client is kept.
pub(crate) const CLIENT_KEY: &str = "client";

/// Plans the creation of a client. A record without a name or of an organisation gets an issue.
pub(crate) fn plan(bundle: &Bundle, plan: &mut Plan) -> Result<(), Finding> {
    let ClientBundle { record: person } = bundle.parse();
    if person.r#type != "person" {
        return Err(finding(ORGANISATION, "type"));
    }
    let id = mambu_id(person.reference_id);
    let first_name = person.first_name.or(person.initials).ok_or_else(|| missing("initials"))?;
    let surname = person.surname.ok_or_else(|| missing("surname"))?;
    let mut fields = vec![("id", value(&id)), ("firstName", value(first_name)), ("lastName", value(surname))];
    fields.extend(person.birth_date.map(|day| ("birthDate", value(day))));
    fields.extend(person.email_addresses.first().map(|email| ("emailAddress", value(email))));
    let mut numbers = person.telephone_numbers.iter().filter_map(|telephone| telephone.number.as_ref());
    fields.extend(numbers.next().map(|number| ("mobilePhone", value(number))));
    if !person.addresses.is_empty() {
        fields.push(("addresses", Node::List(person.addresses.iter().map(address).collect())));
    }
    fields.extend(bundle.setting(BRANCH_KEY).map(|key| ("assignedBranchKey", constant(key))));
    let call = Call::new(CLIENT_CREATION, &id, CLIENT_CREATION, vec![constant("/clients")]);
    let undo = vec![constant("/clients/"), value(&id)];
    plan.call(
        call.body(Node::Object(fields))
            .keeps("encodedKey", CLIENT_KEY)
            .found_at(format!("/clients/{id}"))
            .undone_by("DELETE", undo, None),
    );
    plan.expect(CLIENTS, id, "", &[]);
    Ok(())
}

/// Returns an address in Mambu's form.
fn address(address: &Address) -> Node {
    Node::Object(vec![
        ("line1", value(&address.address_line1)),
        ("postcode", value(&address.postal_code)),
        ("city", value(&address.locality)),
        ("country", value(&address.country_code)),
    ])
}
