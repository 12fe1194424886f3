//! Decisions about calls that the platform refuses, and rollback of imported records.

use mock_mambu::{FaultKind, FaultRule};
use reqwest::Method;
use serde_json::{Value, json};
use sluice_config::Flow;

use super::small::{check, id, stage};
use super::{agree, import, mambu, platform, register, server};
use crate::harness::server::{Answer, Migration};

fn refused(path: &str) -> FaultRule {
    let kind = FaultKind::Refuse { status: 400, code: 4, reason: "INVALID_PARAMETERS".into() };
    FaultRule::nth("POST", path, 1, kind)
}

async fn failed(migration: &Migration) -> Vec<Value> {
    migration.get("/ledger?state=failed").await["items"].as_array().unwrap().clone()
}

async fn decide(migration: &Migration, kind: &str, of: &str, decision: &str) -> Answer {
    let path = migration.path(&format!("/ledger/{kind}/{}", id(migration, of)));
    let request = migration.server.request(Method::PUT, &path).json(&json!({"decision": decision}));
    migration.server.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_call_stops_only_its_record() {
    let mambu = mambu().await;
    let server = server(vec![("mambu".into(), platform(&mambu, |config| config.flow = Flow::EveryStep))]);

    // The platform refuses a fee: the loan stops there, and the draft continues.
    let migration = register(server, "mambu").await;
    stage(&migration, &mambu).await;
    mambu.order(refused("/loans/{id}/fee-transactions"));
    let end = import(&migration).await;
    assert_eq!((&end["state"], &end["result"]["leftOut"]), (&json!("failed"), &json!(1)), "{end}");
    let failures = failed(&migration).await;
    let expected = json!(["loans", id(&migration, "1"), "fee", "INVALID_PARAMETERS", 400, 7]);
    let [kind, record, step, code, status, calls] =
        ["kind", "referenceId", "step", "code", "status", "calls"].map(|name| failures[0][name].clone());
    assert_eq!(json!([kind, record, step, code, status, calls]), expected);
    let issues = migration.issues("import").await;
    assert_eq!((&issues[0]["code"], &issues[0]["rule"]), (&json!("CALL_REFUSED"), &json!("INVALID_PARAMETERS")));
    // The ledger has ids, steps and codes, and no personal data.
    let ledger =
        ["ledger.db", "ledger.db-wal"].map(|file| std::fs::read(migration.directory().join(file)).unwrap_or_default());
    let ledger = String::from_utf8_lossy(&ledger.concat()).into_owned();
    assert!(ledger.contains("INVALID_PARAMETERS") && ledger.contains("loan-creation"));
    for value in ["Nov", "1980", "Praha", "336.67"] {
        assert!(!ledger.contains(value), "{value}");
    }
    // Without a decision, the next import tries nothing again.
    assert_eq!(migration.job("import").await["result"]["calls"], 0);
    assert_eq!(migration.job("counts").await["state"], "failed");
    assert_eq!(decide(&migration, "loans", "2", "retry").await.problem(), (409, "NOT_FAILED".into()));
    assert_eq!(decide(&migration, "loans", "nobody", "retry").await.problem(), (404, "NOT_IN_LEDGER".into()));
    assert_eq!(decide(&migration, "loans", "1", "retry").await.json()["state"], "open");
    assert_eq!(migration.job("import").await["state"], "succeeded");
    check(&mambu, &migration);
    agree(&migration).await;

    // The same refusal, with the decision to skip the fee: the repayment follows, and the counts report the difference.
    let migration = register(server, "mambu").await;
    stage(&migration, &mambu).await;
    mambu.clear_faults();
    mambu.order(refused("/loans/{id}/fee-transactions"));
    assert_eq!(import(&migration).await["state"], "failed");
    assert_eq!(decide(&migration, "loans", "1", "skip").await.status, 200);
    assert_eq!(migration.job("import").await["state"], "succeeded");
    let counts = migration.job("counts").await;
    assert_eq!(counts["state"], "failed");
    let fees = |side| Migration::rows(&counts, "transactions", side).into_iter().any(|row| row[0] == "FEE_APPLIED");
    assert_eq!((fees("stagedRows"), fees("importedRows")), (true, false));

    // The platform refuses a client: its loans wait, and are imported with it.
    let migration = register(server, "mambu").await;
    stage(&migration, &mambu).await;
    mambu.clear_faults();
    mambu.order(refused("/clients"));
    let end = import(&migration).await;
    assert_eq!(end["result"]["byKind"], json!({"clients": {"failed": 1}, "loans": {"waiting": 2}}));
    assert_eq!(decide(&migration, "clients", "client", "retry").await.status, 200);
    assert_eq!(migration.job("import").await["state"], "succeeded");
    check(&mambu, &migration);

    // Decisions about many: by code, by kind and code, and about all.
    let migration = register(server, "mambu").await;
    stage(&migration, &mambu).await;
    mambu.clear_faults();
    mambu.order(refused("/loans/{id}/fee-transactions"));
    assert_eq!(import(&migration).await["state"], "failed");
    let decide_all = async |body: Value| {
        let request = migration.server.request(Method::PUT, &migration.path("/ledger")).json(&body);
        migration.server.send(request).await
    };
    let nameless = decide_all(json!({"decision": "retry"})).await;
    assert_eq!(nameless.problem(), (400, "INVALID_PARAMETER".into()));
    for (filter, decided) in [
        (json!({"code": "ANOTHER_CODE"}), 0),
        (json!({"kind": "clients", "all": true}), 0),
        (json!({"kind": "loans", "code": "INVALID_PARAMETERS"}), 1),
        (json!({"all": true}), 0),
    ] {
        let mut body = filter.clone();
        body["decision"] = json!("retry");
        assert_eq!(decide_all(body).await.json(), json!({"decided": decided}), "{filter}");
    }
    assert_eq!(migration.job("import").await["state"], "succeeded");
    check(&mambu, &migration);

    // The importer follows no redirect.
    let migration = register(server, "mambu").await;
    stage(&migration, &mambu).await;
    mambu.clear_faults();
    mambu.order(FaultRule::nth("POST", "/clients", 1, FaultKind::Redirect(format!("{}/elsewhere", mambu.url()))));
    assert_eq!(import(&migration).await["state"], "failed");
    assert_eq!(failed(&migration).await[0]["code"], "REDIRECTED");
}

/// The call that reads the settlement account is skipped, and later calls need its answer: the record fails, and each
/// decision leads on.
#[tokio::test(flavor = "multi_thread")]
async fn a_skipped_call_whose_answer_is_needed_has_a_way_out() {
    let mambu = mambu().await;
    let server = server(vec![("mambu".into(), platform(&mambu, |config| config.flow = Flow::EveryStep))]);
    for way in ["retry", "skip", "abandon"] {
        let migration = register(server, "mambu").await;
        stage(&migration, &mambu).await;
        mambu.clear_faults();
        mambu.order(FaultRule::nth("GET", "/deposits/{id}", 1, refused("").kind));
        assert_eq!(import(&migration).await["state"], "failed");
        let [step, code] = ["step", "code"].map(|name| name.to_owned());
        let state = failed(&migration).await;
        assert_eq!((&state[0][&step], &state[0][&code]), (&json!("settlement-account"), &json!("INVALID_PARAMETERS")));
        assert_eq!(decide(&migration, "loans", "1", "skip").await.json()["state"], "open");
        let end = migration.job("import").await;
        assert_eq!(end["result"]["byKind"]["loans"]["waiting"], Value::Null, "{end}");
        let state = failed(&migration).await;
        assert_eq!((&state[0][&step], &state[0][&code]), (&json!("settlement-link"), &json!("NEEDS_A_SKIPPED_CALL")));
        let decided = decide(&migration, "loans", "1", way).await;
        assert_eq!(decided.status, 200, "{way}: {}", decided.body);
        let end = migration.job("import").await;
        assert_eq!(end["state"], "succeeded", "{way}: {end}");
        if way == "retry" {
            check(&mambu, &migration);
        }
    }
}

/// Records that an undo has taken back are created again after a decision, although the platform remembers the first
/// calls.
#[tokio::test(flavor = "multi_thread")]
async fn an_undone_record_can_be_imported_again() {
    let mambu = mambu().await;
    let server = server(vec![("mambu".into(), platform(&mambu, |config| config.flow = Flow::EveryStep))]);
    let migration = register(server, "mambu").await;
    stage(&migration, &mambu).await;
    assert_eq!(import(&migration).await["state"], "succeeded");
    for _ in 0..2 {
        let undone = migration.job("undo").await;
        assert_eq!((&undone["state"], &undone["result"]["left"]), (&json!("succeeded"), &json!(0)), "{undone}");
        assert_eq!(mambu.state()["loans"], json!([]));
        assert_eq!(decide(&migration, "loans", "1", "abandon").await.problem(), (409, "NOT_FAILED".into()));
        for (kind, of) in [("clients", "client"), ("loans", "1"), ("loans", "2")] {
            assert_eq!(decide(&migration, kind, of, "retry").await.json()["state"], "open");
        }
        let end = migration.job("import").await;
        assert_eq!(end["state"], "succeeded", "{end}");
        check(&mambu, &migration);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_removes_imported_records() {
    let mambu = mambu().await;
    let server = server(vec![("mambu".into(), platform(&mambu, |config| config.flow = Flow::EveryStep))]);
    let migration = register(server, "mambu").await;
    stage(&migration, &mambu).await;
    // A partial import: the last repayment is refused, and its record abandoned.
    mambu.order(FaultRule { nth: Some(2), ..refused("/loans/{id}/repayment-transactions") });
    assert_eq!(import(&migration).await["state"], "failed");
    assert_eq!(decide(&migration, "loans", "1", "abandon").await.json()["state"], "abandoned");
    let before = mambu.state();
    let preview = migration.job_with("undo", &json!({"preview": true, "only": "abandoned"})).await;
    let steps = json!({"approval": 1, "disbursement": 1, "fee": 1, "loan-creation": 1, "repayment": 1});
    assert_eq!(preview["result"]["wouldUndo"], steps, "{preview}");
    assert_eq!(mambu.state(), before, "a preview changes nothing");
    mambu.order(FaultRule::nth("POST", "/loans/transactions/{id}:adjust", 1, FaultKind::LostAnswer));
    mambu.order(FaultRule::nth("DELETE", "/loans/{id}", 1, FaultKind::ErrorAfter(500)));
    let undone = migration.job_with("undo", &json!({"only": "abandoned"})).await;
    assert_eq!((&undone["state"], &undone["result"]["undone"]), (&json!("succeeded"), &steps), "{undone}");
    assert_eq!(mambu.state()["loans"].as_array().unwrap().len(), 1, "the draft");
    let undone = migration.job("undo").await;
    assert_eq!(undone["result"]["undone"], json!({"client-creation": 1, "loan-creation": 1}), "{undone}");
    let state = mambu.state();
    assert_eq!((&state["clients"], &state["loans"]), (&json!([]), &json!([])));
    // The next import does not repeat what was rolled back.
    assert_eq!(migration.job("import").await["result"]["calls"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_lists_all_calls() {
    let mambu = mambu().await;
    let server = server(vec![("mambu".into(), platform(&mambu, |config| config.calls_per_second = 7))]);
    let migration = register(server, "mambu").await;
    let early = server.get(&migration.path("/plan")).await;
    assert_eq!(early.problem(), (409, "NO_PLAN".into()));
    stage(&migration, &mambu).await;
    let end = migration.job_with("plan", &json!({"windowHours": 0.0001})).await;
    assert_eq!(end["state"], "succeeded");
    let plan = migration.get("/plan").await;
    assert_eq!((&plan["calls"], &plan["bestFlow"]["callsWithEveryStep"]), (&json!(11), &json!(12)), "{plan:#}");
    assert_eq!((&plan["duration"]["seconds"], &plan["duration"]["window"]["fits"]), (&json!(1.57), &json!(false)));
    assert_eq!(plan["sampleCalls"][0]["body"]["lastName"], "***");
    let request = server.request(Method::GET, &migration.path("/plan")).header("accept", "text/html");
    let page = server.send(request).await;
    assert!(page.body.contains("<h1>Migration plan: mambu</h1>"), "{}", page.body);
    for text in [plan.to_string(), page.body] {
        for value in ["Nov", "1980", "U 1", "110 00", "Praha", ACCOUNT_IN_QUOTES, "336.67", "50.05"] {
            assert!(!text.contains(value), "the plan has {value} of a record");
        }
    }
    // A target without a platform has no plan.
    let other = server.register(Some("berka"), crate::harness::server::ALL).await;
    assert_eq!(other.start("plan").await.problem(), (409, "NO_PLATFORM".into()));
}

const ACCOUNT_IN_QUOTES: &str = "\"576\"";
