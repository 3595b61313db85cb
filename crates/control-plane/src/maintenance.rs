//! What an authority needs beside requests: time, and a look at where one from
//! elsewhere may be.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config_store::State;
use resources::{Kind, ObjectKey};
use tokio::sync::watch;

use crate::ca::{Ca, Plugged, telling};

/// How often a folder is looked at.
const BEAT: Duration = Duration::from_secs(5);

/// Istio's name for an authority from elsewhere.
const SECRET: &str = "cacerts";
const NAMESPACE: &str = "istio-system";

/// Takes up the Secret that `state` holds.
pub(crate) fn take(ca: &Ca, state: &State) {
    let object = state.objects.get(&ObjectKey::new(Kind::Secret, NAMESPACE, SECRET));
    let secret = object.and_then(|object| object.as_secret());
    let plugged = secret.map_or(Ok(None), |secret| {
        Plugged::of("Secret istio-system/cacerts", &|name| secret.get(name).map(<[u8]>::to_vec))
    });
    match plugged {
        Ok(plugged) => ca.offer_secret(plugged, SystemTime::now()),
        Err(error) => tracing::error!("the Secret `cacerts` is not used: {}", telling(&error)),
    }
}

/// Keeps the authority up to date, until the store is gone.
pub(crate) async fn keep(ca: Arc<Ca>, mut store: watch::Receiver<Arc<State>>) {
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            changed = store.changed() => {
                if changed.is_err() {
                    return;
                }
                let state = Arc::clone(&store.borrow_and_update());
                take(&ca, &state);
            }
            _ = beat.tick() => ca.maintain(SystemTime::now()),
        }
    }
}
