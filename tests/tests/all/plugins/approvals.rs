//! Plugins that customers submit: refusals, visibility, and imports of approved plugins only.

use reqwest::Method;
use serde_json::{Value, json};
use sluice_config::Config;
use sluice_keys::Signer;
use sluice_model::{Digest, Permission, to_hex};
use sluice_server::app::{Options, signed_text};

use crate::harness::clients::{ClientProperties, token};
use crate::harness::server::{Answer, Migration, Server, shared, start};

/// API clients of a test. Each test has tenants of its own, because plugins stay on the server.
pub(super) struct ApprovalClients {
    pub server: &'static Server,
    pub author: String,
    approver: String,
}

impl ApprovalClients {
    pub async fn of(server: &'static Server, tenant: &'static str) -> Self {
        let made = |permission| ClientProperties { tenant, permission, domains: &[] };
        let author = token(server, made(Permission::Migrate)).await;
        Self { server, author, approver: token(server, made(Permission::Approve)).await }
    }

    pub async fn push(&self, component: &[u8], signature: Option<&str>) -> Answer {
        let request = self.server.anonymous(Method::POST, "/plugins").bearer_auth(&self.author);
        let request = request.header("content-type", "application/wasm").body(component.to_vec());
        let request = match signature {
            Some(signature) => request.header("sluice-signature", signature),
            None => request,
        };
        self.server.send(request).await
    }

    pub async fn send(&self, token: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.server.anonymous(method, path).bearer_auth(token);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        self.server.send(request).await
    }

    pub async fn approve(&self, digest: &str, limits: Value) -> Answer {
        let body = json!({"limits": limits});
        self.send(&self.approver, Method::PUT, &format!("/plugins/{digest}/approval"), Some(body)).await
    }

    pub async fn revoke(&self, digest: &str) -> Answer {
        self.send(&self.approver, Method::DELETE, &format!("/plugins/{digest}/approval"), None).await
    }

    /// Registers a migration with a mapper, loads clients, and validates.
    pub async fn loaded(&self, mapper: &str, clients: u64) -> Migration {
        let body = json!({"components": ["Counterparties"], "mapper": mapper});
        let answer = self.send(&self.author, Method::POST, "/migration-assistance/migrations", Some(body)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let shown = answer.json();
        assert_eq!(shown["mapperDigest"], mapper);
        let migration = Migration { server: self.server, id: shown["referenceId"].as_str().unwrap().into() };
        self.load(&migration, clients).await;
        migration
    }

    pub async fn load(&self, migration: &Migration, clients: u64) {
        let path = migration.path("/sources/client");
        let upload = self.server.anonymous(Method::PUT, &path).header("content-type", "application/jsonl");
        let upload = upload.bearer_auth(&self.author);
        let answer = self.server.send(upload.body(client_lines(clients))).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(self.job(migration, "validate").await["state"], "succeeded");
    }

    pub async fn start(&self, migration: &Migration, kind: &str) -> Answer {
        self.send(&self.author, Method::PUT, &migration.path(&format!("/jobs/{kind}")), None).await
    }

    async fn read(&self, migration: &Migration, job: &Value, patience: u64) -> Value {
        let path = migration.path(&format!("/jobs/{}", job.as_str().unwrap()));
        let request = self.server.anonymous(Method::GET, &path).bearer_auth(&self.author);
        self.server.send(request.header("prefer", format!("wait={patience}"))).await.json()
    }

    pub async fn ended(&self, migration: &Migration, job: &Value) -> Value {
        loop {
            let job = self.read(migration, job, 60).await;
            if job["state"] != "running" {
                return job;
            }
        }
    }

    pub async fn job(&self, migration: &Migration, kind: &str) -> Value {
        let answer = self.start(migration, kind).await;
        assert_eq!(answer.status, 200, "{kind}: {}", answer.body);
        self.ended(migration, &answer.json()).await
    }
}

/// Returns the lines of some clients.
pub(super) fn client_lines(many: u64) -> String {
    (1..=many).map(|id| format!("{{\"client_id\":{id},\"birth_number\":\"706213\"}}\n")).collect()
}

/// Returns the same component with another digest: a custom section is added at the end.
pub(super) fn variant(component: &[u8], mark: u8) -> Vec<u8> {
    // A custom section: id, length, length of its name, name.
    [component, &[0, 2, 1, mark]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_only_records_of_an_approved_digest() {
    let cast = ApprovalClients::of(shared(), "approving").await;
    let component = variant(sluice_tests::guest("panics"), b'a');
    let digest = Digest::of(&component).to_string();

    let pushed = cast.push(&component, None).await;
    assert_eq!(pushed.status, 201, "{}", pushed.body);
    let plugin = pushed.json();
    assert_eq!((&plugin["digest"], &plugin["approved"]), (&digest.as_str().into(), &false.into()));
    assert_eq!(plugin["inspection"]["sources"][0]["name"], "client");
    assert!(plugin["inspection"]["toolchain"].to_string().contains("rustc"), "{plugin}");
    let imports = plugin["inspection"]["imports"].as_array().unwrap();
    assert!(imports.iter().all(|import| import["allows"].as_str().unwrap().len() > 5), "{plugin}");
    // Submitting the same component again is idempotent.
    assert_eq!(cast.push(&component, None).await.status, 200);
    let migration = cast.loaded(&digest, 300).await;
    assert_eq!(cast.start(&migration, "import").await.problem(), (409, "PLUGIN_NOT_APPROVED".into()));
    // The author may not approve it, and an unknown limit is refused.
    let own = cast.send(&cast.author, Method::PUT, &format!("/plugins/{digest}/approval"), Some(json!({}))).await;
    assert_eq!(own.problem(), (403, "PERMISSION_MISSING".into()));
    for limits in [json!({"bath_millis": 1}), json!({"batch_millis": 0}), json!({"stack_bytes": 1 << 20})] {
        assert_eq!(cast.approve(&digest, limits).await.problem(), (422, "INVALID_LIMIT".into()));
    }
    let approved = cast.approve(&digest, json!({"batch_millis": 3_000})).await;
    assert_eq!(approved.status, 200, "{}", approved.body);
    assert_eq!(approved.json()["limits"]["batch_millis"], 3_000);
    let imported = cast.job(&migration, "import").await;
    assert_eq!((&imported["state"], &imported["result"]["inserted"]), (&"succeeded".into(), &300.into()));

    // Another digest needs an approval of its own, and so does a revoked one.
    let other = variant(&component, b'b');
    assert_eq!(cast.push(&other, None).await.status, 201);
    let another = cast.loaded(&Digest::of(&other).to_string(), 3).await;
    assert_eq!(cast.start(&another, "import").await.problem(), (409, "PLUGIN_NOT_APPROVED".into()));
    assert_eq!(cast.revoke(&digest).await.status, 204);
    assert_eq!(cast.revoke(&digest).await.problem(), (404, "NO_SUCH_APPROVAL".into()));
    assert_eq!(cast.start(&migration, "import").await.problem(), (409, "PLUGIN_NOT_APPROVED".into()));

    // The evidence and the server's trail name the approver.
    assert_eq!(cast.job(&migration, "counts").await["state"], "succeeded");
    let evidence = cast.send(&cast.author, Method::GET, &migration.path("/evidence"), None).await;
    let bundle: Value = serde_json::from_str(evidence.body.lines().next().unwrap()).unwrap();
    let approvals = bundle["approvals"].as_array().unwrap_or_else(|| panic!("{bundle}"));
    let of = approvals.iter().find(|approval| approval["digest"] == digest.as_str()).unwrap();
    assert_eq!((&of["tenant"], &of["limits"]), (&"approving".into(), &json!({"batch_millis": 3_000})));
    assert!(of["by"].is_string() && of["revokedAt"].is_string(), "{of}");
    let admin =
        token(shared(), ClientProperties { tenant: "approving", permission: Permission::Admin, domains: &[] }).await;
    let whole = shared().anonymous(Method::GET, "/audit").bearer_auth(admin).header("accept", "application/jsonl");
    let trail = shared().send(whole).await.body;
    for action in ["PLUGIN_PUSHED", "PLUGIN_APPROVED", "APPROVAL_REVOKED"] {
        let matches = |line: &str| line.contains(action) && line.contains(&digest) && line.contains("approving");
        assert!(trail.lines().any(matches), "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_a_running_import_when_its_plugin_is_revoked() {
    let mut config = Config::default();
    config.import.transaction_records = 1_000;
    let dir = tempfile::tempdir().unwrap();
    let options =
        Options { data_dir: dir.path().join("data"), config, mappers: vec![], worker: crate::harness::worker() };
    let (server, _) = start(options, std::future::pending());
    let server: &'static Server = Box::leak(Box::new(server));
    let cast = ApprovalClients::of(server, "default").await;
    let component = variant(sluice_tests::guest("panics"), b'r');
    let digest = Digest::of(&component).to_string();
    assert_eq!(cast.push(&component, None).await.status, 201);
    assert_eq!(cast.approve(&digest, json!({})).await.status, 200);
    let migration = cast.loaded(&digest, 60_000).await;
    let job = cast.start(&migration, "import").await.json();
    // After the first imported records, the test locks the target, so that the import waits.
    let mut done = 0;
    while done < 1_000 {
        let shown = cast.read(&migration, &job, 0).await;
        assert_eq!(shown["state"], "running", "the import ended too soon: {shown}");
        done = shown["done"].as_u64().unwrap();
    }
    let beside = rusqlite::Connection::open(server.data_dir.join("platform.db")).unwrap();
    // The import plans ahead, so the time between two transactions is short. A wait with pauses would miss it.
    while beside.execute_batch("PRAGMA busy_timeout = 0; BEGIN IMMEDIATE").is_err() {}
    assert_eq!(cast.revoke(&digest).await.status, 204);
    beside.execute_batch("COMMIT").unwrap();
    let ended = cast.ended(&migration, &job).await;
    assert_eq!(
        (&ended["state"], &ended["result"]["problem"]["code"]),
        (&"failed".into(), &"PLUGIN_NOT_APPROVED".into()),
        "{ended}"
    );
    let imported = |migration: &Migration| {
        let path = migration.path("");
        async move { server.get(&path).await.json()["numberOfImportedEntities"].as_u64().unwrap() }
    };
    let kept = imported(&migration).await;
    assert!((1_000..60_000).contains(&kept), "{kept}");
    // After a new approval, the import continues.
    assert_eq!(cast.approve(&digest, json!({})).await.status, 200);
    let ended = cast.job(&migration, "import").await;
    assert_eq!((&ended["state"], &ended["result"]["inserted"]), (&"succeeded".into(), &(60_000 - kept).into()));
    assert_eq!(cast.job(&migration, "counts").await["state"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn hides_plugins_of_other_tenants() {
    let (ours, theirs) = (ApprovalClients::of(shared(), "ours").await, ApprovalClients::of(shared(), "theirs").await);
    let component = variant(sluice_tests::guest("panics"), b'o');
    let digest = Digest::of(&component).to_string();
    assert_eq!(ours.push(&component, None).await.status, 201);
    let path = format!("/plugins/{digest}");
    for (method, path, body) in [
        (Method::GET, path.clone(), None),
        (Method::PUT, format!("{path}/approval"), Some(json!({}))),
        (Method::DELETE, format!("{path}/approval"), None),
    ] {
        let answer = theirs.send(&theirs.approver, method.clone(), &path, body.clone()).await;
        let nothing = path.replace(&digest, &Digest::of(b"nothing").to_string());
        let absent = theirs.send(&theirs.approver, method, &nothing, body).await;
        assert_eq!((answer.status, &answer.body), (404, &absent.body));
    }
    let listed = theirs.send(&theirs.author, Method::GET, "/plugins?limit=100", None).await.body;
    assert!(!listed.contains(&digest), "{listed}");
    let body = json!({"components": ["Counterparties"], "mapper": digest});
    let chosen = theirs.send(&theirs.author, Method::POST, "/migration-assistance/migrations", Some(body)).await;
    assert_eq!(chosen.problem(), (422, "UNKNOWN_MAPPER".into()));
    // Two tenants that submit the same component approve it separately.
    assert_eq!(theirs.push(&component, None).await.status, 201);
    assert_eq!(theirs.approve(&digest, json!({})).await.status, 200);
    let seen = ours.send(&ours.author, Method::GET, &path, None).await.json();
    assert_eq!((&seen["approved"], &seen["approvals"]), (&false.into(), &json!([])));
}

/// A submitted file, its signature, and the answer: status, code, and words of the message.
type Refusal<'a> = (&'a str, Vec<u8>, Option<&'a str>, u16, &'a str, &'a [&'a str]);

#[tokio::test(flavor = "multi_thread")]
async fn refuses_invalid_plugins_with_a_reason() {
    let cast = ApprovalClients::of(shared(), "refused").await;
    let good = sluice_tests::guest("panics");
    let contract = |version: &str| {
        let text = |version: &str| format!("sluice:plugin/mapping@{version}").into_bytes();
        let (ours, other) = (text("0.1.0"), text(version));
        let mut component = good.to_vec();
        for at in 0..component.len() - ours.len() {
            if component[at..].starts_with(&ours) {
                component[at..at + ours.len()].copy_from_slice(&other);
            }
        }
        component
    };
    let domain = domain_component(shared(), "Counterparties").await;
    let signature = to_hex(&Signer::new(&[9; 32]).sign(b"something"));
    let cases: &[Refusal] = &[
        ("text", b"fn main() {}".to_vec(), None, 422, "PLUGIN_REFUSED", &["it is not WebAssembly"]),
        (
            "newer",
            contract("0.2.0"),
            None,
            422,
            "PLUGIN_REFUSED",
            &["0.2", "newer than the 0.1", "SDK of that version"],
        ),
        ("older", contract("0.0.9"), None, 422, "PLUGIN_REFUSED", &["0.0", "older than the 0.1", "build it anew"]),
        (
            "import",
            sluice_tests::guest("unoffered-import").to_vec(),
            None,
            422,
            "PLUGIN_REFUSED",
            &["sluice:elsewhere/secrets", "build it without"],
        ),
        (
            "cut",
            good[..good.len() / 2].to_vec(),
            None,
            422,
            "PLUGIN_REFUSED",
            &["not a component that can be compiled"],
        ),
        ("a domain's", variant(&domain, b'x'), None, 403, "PERMISSION_MISSING", &["admin"]),
        ("no signature", good.to_vec(), Some("abc"), 400, "INVALID_SIGNATURE", &["128"]),
        ("a stranger's", good.to_vec(), Some(&signature), 422, "SIGNATURE_REFUSED", &["PUT /plugin-keys"]),
    ];
    for (name, component, signature, status, code, words) in cases {
        let answer = cast.push(component, *signature).await;
        assert_eq!(answer.problem(), (*status, (*code).to_owned()), "{name}: {}", answer.body);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(words.iter().all(|word| detail.contains(word)), "{name}: {detail}");
    }
    let listed = cast.send(&cast.author, Method::GET, "/plugins?limit=100", None).await.json();
    assert!(listed["items"].as_array().unwrap().iter().all(|plugin| plugin["tenant"] != "refused"), "{listed}");
    // A component that panics on an empty record is accepted, and the answer describes the failure.
    let breaks = cast.push(&variant(sluice_tests::guest("panics-always"), b'p'), None).await;
    let message = breaks.json()["inspection"]["breaks"].as_str().unwrap_or_default().to_owned();
    assert!(breaks.status == 201 && message.contains("without any field (PLUGIN_PANICKED)"), "{}", breaks.body);
    let request = shared().anonymous(Method::POST, "/plugins").bearer_auth(&cast.author);
    let answer = shared().send(request.header("content-type", "text/plain").body("x")).await;
    assert_eq!(answer.problem(), (415, "UNSUPPORTED_MEDIA_TYPE".into()));
}

/// Returns the component of a domain's plugin.
async fn domain_component(server: &Server, domain: &str) -> Vec<u8> {
    let listed = server.get("/plugins?limit=100").await.json();
    let plugins = listed["items"].as_array().unwrap();
    let found = plugins.iter().find(|plugin| plugin["domain"] == domain && plugin["origin"] == "embedded").unwrap();
    std::fs::read(server.data_dir.join(format!("plugins/{}.wasm", found["digest"].as_str().unwrap()))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn requires_signatures_and_bounded_limits_if_configured() {
    let mut config = Config::default();
    config.registry.require_signature = true;
    config.registry.plugins_per_tenant = 1;
    config.plugin.file_bytes = 4 << 20;
    let dir = tempfile::tempdir().unwrap();
    let options =
        Options { data_dir: dir.path().join("data"), config, mappers: vec![], worker: crate::harness::worker() };
    let (server, _) = start(options, std::future::pending());
    let server: &'static Server = Box::leak(Box::new(server));
    let cast = ApprovalClients::of(server, "signing").await;
    let component = sluice_tests::guest("panics");
    let signer = Signer::new(&[7; 32]);
    let sign = |component: &[u8]| to_hex(&signer.sign(signed_text(Digest::of(component)).as_bytes()));
    let key = to_hex(&signer.public().0);
    let key_path = format!("/plugin-keys/{key}");
    let refused = (422, "SIGNATURE_REFUSED".to_owned());

    assert_eq!(cast.push(component, None).await.problem(), refused);
    assert_eq!(cast.push(component, Some(&sign(component))).await.problem(), refused);
    let put = async |token: &str| cast.send(token, Method::PUT, &key_path, None).await;
    assert_eq!(put(&cast.author).await.problem(), (403, "PERMISSION_MISSING".into()));
    assert_eq!((put(&cast.approver).await.status, put(&cast.approver).await.status), (204, 204));
    // The key belongs to this tenant alone, and the signature to this component alone.
    let elsewhere = ApprovalClients::of(server, "elsewhere").await;
    assert_eq!(elsewhere.push(component, Some(&sign(component))).await.problem(), refused);
    assert_eq!(cast.push(component, Some(&sign(b"another"))).await.problem(), refused);
    let pushed = cast.push(component, Some(&sign(component))).await;
    assert_eq!((pushed.status, &pushed.json()["signedBy"]), (201, &key.as_str().into()), "{}", pushed.body);
    let second = variant(component, b's');
    assert_eq!(cast.push(&second, Some(&sign(&second))).await.problem(), (409, "TOO_MANY_PLUGINS".into()));
    let large = vec![0; (4 << 20) + 1];
    assert_eq!(cast.push(&large, Some(&sign(&large))).await.problem(), (413, "COMPONENT_TOO_LARGE".into()));

    let listed = cast.send(&cast.author, Method::GET, "/plugin-keys", None).await.json();
    assert_eq!((&listed["total"], &listed["items"][0]["key"]), (&1.into(), &key.as_str().into()));
    let revoke = async || cast.send(&cast.approver, Method::DELETE, &key_path, None).await;
    assert_eq!(revoke().await.status, 204);
    assert_eq!(revoke().await.problem(), (404, "NO_SUCH_KEY".into()));
    assert_eq!(put(&cast.approver).await.problem(), (409, "KEY_REVOKED".into()));
    assert_eq!(cast.push(component, Some(&sign(component))).await.problem(), refused);
}

/// An operator replaces a domain's plugin for a tenant. It validates from then on, and records that another plugin
/// validated must be validated again.
#[tokio::test(flavor = "multi_thread")]
async fn operator_replaces_a_domain_plugin_for_a_tenant() {
    let server = shared();
    let component = variant(&domain_component(server, "Counterparties").await, b'd');
    let digest = Digest::of(&component).to_string();
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        data_dir: dir.path().join("data"),
        config: Config::default(),
        mappers: vec![],
        worker: crate::harness::worker(),
    };
    let (own, _) = start(options, std::future::pending());
    let own: &'static Server = Box::leak(Box::new(own));
    let push = own.request(Method::POST, "/plugins").header("content-type", "application/wasm");
    let pushed = own.send(push.body(component)).await;
    assert_eq!((pushed.status, &pushed.json()["tenant"]), (201, &Value::Null), "{}", pushed.body);
    let migration = own.register(None, &["Counterparties"]).await;
    let body = json!({"referenceId": uuid::Uuid::new_v4(), "type": "organisation", "name": "Acme"});
    let staged = migration.stage("counterparty-management", "counterparties", body.to_string()).await;
    assert!(staged.body.contains("\"isSuccessful\":true"), "{}", staged.body);
    let judged_by = async |kind: &str| {
        let job = migration.job(kind).await;
        let trail = own.get(&migration.path("/audit?limit=100")).await.body;
        (job["state"].as_str().unwrap().to_owned(), trail.lines().last().unwrap_or_default().contains(&digest))
    };
    let (_, by_it) = judged_by("validate").await;
    assert!(!by_it);
    let approve = own.request(Method::PUT, &format!("/plugins/{digest}/approval")).json(&json!({}));
    assert_eq!(own.send(approve).await.status, 200);
    let (state, by_it) = judged_by("validate").await;
    assert!(by_it && state == "succeeded", "{state}");
    // Records that one plugin validated are not imported with the other.
    let revoke = || own.request(Method::DELETE, &format!("/plugins/{digest}/approval"));
    assert_eq!(own.send(revoke()).await.status, 204);
    let refused = migration.start("import").await;
    assert_eq!(refused.problem(), (409, "NOT_VALIDATED".into()));
    let embedded = domain_component(own, "Counterparties").await;
    let embedded = own.request(Method::DELETE, &format!("/plugins/{}/approval?tenant=default", Digest::of(&embedded)));
    assert_eq!(own.send(embedded).await.problem(), (409, "ONLY_DOMAIN_PLUGIN".into()));
}
