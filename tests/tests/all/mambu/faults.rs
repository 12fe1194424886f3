//! Faults of the platform at each step: afterwards each record is there exactly once.

use std::time::Duration;

use mock_mambu::{Fault, Kind, Mambu, Options};
use sluice_config::Flow;

use super::small::{EVERY_STEP, check, stage};
use super::{FLOWS, agree, calls, import, mambu, platform, register, server};

/// Every step, by method and path as the mock platform counts it.
const STEPS: &[(&str, &str)] = &[
    ("POST", "/clients"),
    ("GET", "/deposits/{id}"),
    ("POST", "/loans"),
    ("PATCH", "/loans/{id}"),
    ("PUT", "/loans/{id}/schedule"),
    ("POST", "/loans/{id}:changeState"),
    ("POST", "/loans/{id}/disbursement-transactions"),
    ("POST", "/loans/{id}/fee-transactions"),
    ("POST", "/loans/{id}/repayment-transactions"),
];

fn kinds() -> Vec<Kind> {
    let busy = |reason: &str| Kind::Refuse { status: 409, code: 1, reason: reason.into() };
    vec![
        Kind::ErrorBefore(500),
        Kind::ErrorBefore(503),
        Kind::ErrorAfter(502),
        Kind::LostAnswer,
        Kind::ResetBefore,
        Kind::CutAnswer,
        Kind::Slow(1_400),
        Kind::SlowAnswer(1_400),
        Kind::Stall,
        Kind::TooManyRequests(1),
        Kind::Processing,
        Kind::Restart { ms: 50, committed: false },
        Kind::Restart { ms: 50, committed: true },
        busy("BLOCKING_OPERATION_IN_PROGRESS"),
        busy("DATA_IMPORT_IN_PROGRESS"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_each_record_once_after_each_fault_at_each_step() {
    let mut mambus = vec![];
    for kind in kinds() {
        // The mock platform forgets idempotency keys at once, so the importer has to query what was done.
        let forgetful =
            Options { idempotency: Duration::from_millis(1), close_after_processing: true, ..Options::default() };
        mambus.push((kind, Mambu::start(forgetful).await.unwrap()));
    }
    let config = |mambu: &_| platform(mambu, |config| config.flow = Flow::EveryStep);
    let platforms = mambus.iter().enumerate().map(|(index, (_, mambu))| (format!("mambu-{index}"), config(mambu)));
    let server = server(platforms.collect());
    let mut tasks = vec![];
    for (index, (kind, mambu)) in mambus.into_iter().enumerate() {
        tasks.push(tokio::spawn(async move {
            for (method, path) in STEPS {
                let migration = register(server, &format!("mambu-{index}")).await;
                stage(&migration, &mambu).await;
                mambu.order(Fault::nth(method, path, 1, kind.clone()));
                let end = import(&migration).await;
                assert_eq!(end["state"], "succeeded", "{kind:?} at {path}: {end}");
                assert!(mambu.faults().iter().all(|ordered| ordered.struck == 1), "{kind:?} at {path}");
                mambu.clear_faults();
                check(&mambu, &migration);
                agree(&migration).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// Without faults, the importer queries nothing and sends nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn calls_exactly_the_plan_without_faults() {
    for flow in FLOWS {
        let mambu = mambu().await;
        let server = server(vec![("mambu".into(), platform(&mambu, |config| config.flow = flow))]);
        let migration = register(server, "mambu").await;
        stage(&migration, &mambu).await;
        let plan = migration.job("plan").await;
        assert_eq!(import(&migration).await["state"], "succeeded");
        let saved = plan["result"]["callsSaved"].as_u64().unwrap();
        assert_eq!(
            (plan["result"]["calls"].as_u64().unwrap(), saved),
            (calls(&mambu), u64::from(flow == Flow::Fewest))
        );
        assert_eq!(calls(&mambu) + saved, EVERY_STEP);
        check(&mambu, &migration);
        agree(&migration).await;
    }
}
