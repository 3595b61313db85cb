//! A workload's certificates over days, on a clock that does not wait.

use std::sync::Mutex;

use identity::TrustDomain;
use identity::authority::{Authority as Signer, Serial};
use identity::key::Algorithm;
use tokio::time::Instant;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

thread_local! {
    static BEGUN: Instant = Instant::now();
}

/// 2027-01-15T08:00:00Z, and what has gone by on the runtime's clock.
fn now() -> SystemTime {
    instant::at(1_800_000_000) + BEGUN.with(|begun| begun.elapsed())
}

/// What an authority in this process was asked, and whether it answers.
#[derive(Default)]
struct Log {
    /// When, and whether by a certificate.
    asked: Vec<(u64, bool)>,
    is_away: bool,
    signs_for: Option<SpiffeId>,
}

struct Fake {
    signer: Signer,
    log: Arc<Mutex<Log>>,
}

impl Authority for Fake {
    async fn sign(&mut self, asked: Asked<'_>) -> Result<Granted, Refusal> {
        let mut log = self.log.lock().expect("no panic");
        log.asked.push((instant::seconds(now()) - 1_800_000_000, asked.proof.is_some()));
        if log.is_away {
            return Err(Refusal::Silent("nobody".to_owned()));
        }
        let identity = log.signs_for.clone().unwrap_or_else(reviews);
        let request = request::read(&asked.csr).expect("our own request");
        let serial = Serial::of([(log.asked.len() % 100) as u8; 16]);
        let issued =
            self.signer.issue(&request, &identity, asked.lifetime, now(), serial).expect("a certificate");
        Ok(Granted { chain: issued.chain, bundle: self.signer.roots().clone() })
    }
}

fn reviews() -> SpiffeId {
    "spiffe://cluster.local/ns/default/sa/bookinfo-reviews".parse().expect("an identity")
}

struct Stand {
    secrets: Secrets,
    log: Arc<Mutex<Log>>,
    progress: Arc<Progress>,
    task: JoinHandle<()>,
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stand {
    /// A keeper on the runtime's clock, with an authority beside it.
    fn new(log: Log) -> Self {
        BEGUN.with(|_| ());
        let key = PrivateKey::generate(Algorithm::EcdsaP256).expect("a key");
        let domain = TrustDomain::default();
        let signer =
            Signer::self_signed(key, &domain, DAY * 3650, now(), Serial::of([7; 16])).expect("a root");
        let (secrets, log) = (Secrets::default(), Arc::new(Mutex::new(log)));
        let progress = Arc::<Progress>::default();
        let settings = crate::agent::settings::IdentitySettings::defaults();
        let keeper = Keeper {
            authority: Fake { signer, log: Arc::clone(&log) },
            renewal: Renewal::of(&settings),
            algorithm: settings.algorithm,
            lifetime: settings.lifetime,
            identity: reviews(),
            secrets: secrets.clone(),
            progress: Arc::clone(&progress),
            now,
            random: || 0.5,
        };
        Self { secrets, log, progress, task: tokio::spawn(keeper.keep()) }
    }

    fn asked(&self) -> Vec<(u64, bool)> {
        self.log.lock().expect("no panic").asked.clone()
    }

    fn own(&self) -> Option<Vec<u8>> {
        match self.secrets.get(OWN)?.as_ref() {
            Secret::Certificate(chain) => Some(chain.chain[0].to_vec()),
            Secret::Trust(_) => None,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_day_is_asked_for_and_half_of_it_used() {
    let stand = Stand::new(Log::default());
    tokio::time::sleep(DAY * 2 + DAY / 24).await;
    assert_eq!(
        stand.asked(),
        [(0, false), (43_200, true), (86_400, true), (129_600, true), (172_800, true)],
        "the first by a credential, the others by certificates"
    );
    assert_eq!(stand.secrets.version(), 10, "a chain and a bundle each time");
    let trust = stand.secrets.get(ROOT).expect("whom to believe");
    assert_eq!(format!("{trust:?}"), "Trust(1 roots, 0 CRLs)");
}

#[tokio::test(start_paused = true)]
async fn each_certificate_has_a_key_of_its_own() {
    let stand = Stand::new(Log::default());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let facts = |der: Vec<u8>| certificate::facts(&der.into()).expect("a certificate");
    let first = facts(stand.own().expect("a certificate"));
    assert_eq!(first.validity.not_after, instant::at(1_800_000_000) + DAY);
    tokio::time::sleep(DAY / 2).await;
    let second = facts(stand.own().expect("a certificate"));
    assert_ne!(first.public_key, second.public_key);
}

/// What is there stays in use; after the end, a credential is needed again.
#[tokio::test(start_paused = true)]
async fn an_authority_that_is_away_is_waited_for() {
    let stand = Stand::new(Log::default());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let held = stand.own().expect("a certificate");
    stand.log.lock().expect("no panic").is_away = true;
    tokio::time::sleep(DAY * 2).await;
    assert_eq!(stand.own(), Some(held.clone()), "nothing better has come");
    let asked = stand.asked();
    assert!(asked.len() > 4000, "again and again: {}", asked.len());
    assert!(asked[1..].windows(2).all(|pair| pair[1].0 - pair[0].0 <= 20), "never more than 20 s apart");
    let by_certificate = |until: u64| {
        asked.iter().skip(1).filter(|(at, _)| *at < until).all(|(_, by_certificate)| *by_certificate)
    };
    assert!(by_certificate(86_400), "as long as it holds");
    assert!(asked.last().is_some_and(|(_, by_certificate)| !by_certificate), "then by the credential");
    assert!(
        stand.progress.text(now()).contains("istio_agent_cert_expiry_seconds{resource_name=\"default\"} -")
    );
    stand.log.lock().expect("no panic").is_away = false;
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert_ne!(stand.own(), Some(held), "it is back");
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_certificate_is_not_taken() {
    let signs_for = Some("spiffe://cluster.local/ns/default/sa/ratings".parse().expect("an identity"));
    let stand = Stand::new(Log { signs_for, ..Log::default() });
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(stand.asked().len() > 3);
    assert_eq!(stand.own(), None);
    stand.log.lock().expect("no panic").signs_for = None;
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert!(stand.own().is_some());
}
