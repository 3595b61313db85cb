//! Configuration after configuration, request after request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use resources::Object;
use serde_json::Value;
use tokio::task::JoinSet;

use super::compare::{Difference, Observed, compare, share_of};
use super::generate::{self, Case};
use super::metrics;
use super::planes::{self, Applied, Planes};
use super::request::{self, End, Request};
use super::server::Memory;
use super::shrink::{smaller_objects, smaller_requests};
use super::world::{self, Plane, Pod};

/// So many requests are under way at once.
const AT_ONCE: usize = 32;
/// Lines of access logs are there by then.
const WRITTEN: Duration = Duration::from_millis(1500);
/// A connection of which neither has written a line by then is one that
/// neither tells of.
const UNTOLD: Duration = Duration::from_millis(200);
/// Copies of requests have reached their servers by then.
const COPIED: Duration = Duration::from_millis(300);
/// A difference that is not seen so often was chance.
const TRIES: usize = 3;
/// Kinds of differences that are made small and printed.
const PRINTED: usize = 12;
/// So long a configuration and a request are made smaller.
const SHRINKING: Duration = Duration::from_secs(25);

/// How much to do.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Where all is drawn from.
    pub seed: u64,
    /// How many configurations.
    pub configurations: usize,
    /// How many requests, over all configurations.
    pub requests: usize,
    /// Whether what was counted is compared too.
    pub metrics: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Configurations that were held by all proxies.
    pub configurations: usize,
    /// Requests that went through both.
    pub requests: usize,
    /// Kinds of differences that did not come again, how often each was seen,
    /// and the first of them.
    pub passing: BTreeMap<String, (usize, String)>,
    /// Requests that nobody answered, through either.
    pub silent: usize,
    /// Requests that were answered with each status.
    pub statuses: BTreeMap<u16, usize>,
    /// Kinds of differences, and how often each was seen.
    pub kinds: BTreeMap<String, usize>,
    /// The first of each kind, for people.
    pub reports: Vec<String>,
    /// Where requests are split between two clusters, by data plane and by the
    /// first one's share in percent: how many it got, and how many there were.
    pub shares: BTreeMap<(Plane, u16), (usize, usize)>,
    /// How long it took until everybody held a configuration, in all.
    pub applying: Duration,
}

/// What came of one request.
struct Seen {
    request: Request,
    differences: Vec<Difference>,
    /// Of stock Envoy's answer.
    status: u16,
    end: End,
}

/// A request, the name by which it is found again, and what came of it.
struct Sent {
    request: Request,
    id: String,
    both: [(Plane, Observed); 2],
}

/// Everything that is running, and what came of it so far.
struct Runner {
    planes: Planes,
    memory: Memory,
    always: Vec<Arc<Object>>,
    sent: u64,
    outcome: Outcome,
}

/// Runs all of it. To be called in a namespace of its own.
pub async fn run(options: &Options) -> Result<Outcome> {
    world::make()?;
    let mut pods = Vec::new();
    for plane in Plane::ALL {
        pods.push((plane, Pod::make(plane)?));
    }
    let memory = Memory::default();
    planes::start_servers(&pods, &memory)?;
    let parsed = resources::parse("always", &generate::always(), "default");
    ensure!(!parsed.has_errors(), "{:?}", parsed.problems);
    let planes = Planes::start(&pods).await?;
    let mut runner = Runner { planes, memory, always: parsed.objects, sent: 0, outcome: Outcome::default() };
    let each = options.requests.div_ceil(options.configurations.max(1));
    let started = Instant::now();
    for number in 0..options.configurations {
        let case = generate::case(options.seed.wrapping_add(number as u64), each);
        runner.case(&case).await.with_context(|| format!("seed {}", case.seed))?;
        if (number + 1) % 20 == 0 {
            let outcome = &runner.outcome;
            eprintln!(
                "{:>6} configurations, {:>7} requests, {} kinds of differences, {} s",
                outcome.configurations,
                outcome.requests,
                outcome.kinds.len(),
                started.elapsed().as_secs()
            );
        }
    }
    runner.judge_shares().await;
    if options.metrics {
        runner.metrics(&pods).await?;
    }
    Ok(runner.outcome)
}

impl Runner {
    async fn case(&mut self, case: &Case) -> Result<()> {
        if let Applied::Refused(why) = self.apply(&case.objects).await {
            let kind = format!("refused: {}", why.join("; ").chars().take(160).collect::<String>());
            self.found(kind, || format!("seed {}\n{}", case.seed, why.join("\n"))).await;
            return Ok(());
        }
        self.outcome.configurations += 1;
        let all: Vec<&Request> = case.requests.iter().collect();
        let mut suspects = Vec::new();
        for seen in self.observe(&all).await? {
            self.outcome.requests += 1;
            self.outcome.silent += usize::from(seen.end == End::Waiting);
            *self.outcome.statuses.entry(seen.status).or_default() += 1;
            if !seen.differences.is_empty() {
                suspects.push((seen.request, seen.differences));
            }
        }
        for (request, first) in suspects {
            match self.lasting(&request).await? {
                Some(differences) => self.report(case, &request, &differences).await?,
                None => {
                    let example = || (0, format!("seed {} {}", case.seed, brief(&request, &first)));
                    self.outcome.passing.entry(kind(&first)).or_insert_with(example).0 += 1;
                }
            }
        }
        Ok(())
    }

    /// Compares what both counted.
    async fn metrics(&mut self, pods: &[(Plane, Pod)]) -> Result<()> {
        let mut pages = BTreeMap::new();
        for (plane, pod) in pods {
            pages.insert(*plane, self.planes.metrics(*plane, pod).await?);
        }
        // A request that differed was sent several times, and shrunk.
        let passing: usize = self.outcome.passing.values().map(|(count, _)| count).sum();
        let tolerance = passing * TRIES * 2;
        if self.outcome.kinds.is_empty() {
            let (envoy, lateen) = (&pages[&Plane::Envoy], &pages[&Plane::Lateen]);
            for difference in metrics::compare(envoy, lateen, tolerance as u64) {
                self.found(difference.at.clone(), || difference.to_string()).await;
            }
        }
        Ok(())
    }

    /// Gives everybody these objects; what is refused before it goes anywhere
    /// is left out.
    async fn apply(&mut self, objects: &[Value]) -> Applied {
        let start = Instant::now();
        let parsed =
            objects.iter().flat_map(|object| resources::parse_json("drawn", object, "default").objects);
        let applied = self.planes.apply(self.always.iter().cloned().chain(parsed).collect()).await;
        self.outcome.applying += start.elapsed();
        applied
    }

    /// The differences of a request, when they stay.
    async fn lasting(&mut self, request: &Request) -> Result<Option<Vec<Difference>>> {
        let mut last = Vec::new();
        for _ in 0..TRIES {
            let mut observed = self.observe(&[request]).await?;
            last = observed.pop().map(|seen| seen.differences).unwrap_or_default();
            if last.is_empty() {
                return Ok(None);
            }
        }
        Ok(Some(last))
    }

    /// Sends requests through both, and tells what differs.
    async fn observe(&mut self, requests: &[&Request]) -> Result<Vec<Seen>> {
        let mut results = Vec::new();
        let mut waiting = requests.iter();
        let mut tasks = JoinSet::new();
        loop {
            while tasks.len() < AT_ONCE
                && let Some(request) = waiting.next()
            {
                self.sent += 1;
                let (id, request) = (format!("test-{}", self.sent), (*request).clone());
                tasks.spawn(async move {
                    let (envoy, lateen) = tokio::join!(
                        request::send(Plane::Envoy, &request, &id),
                        request::send(Plane::Lateen, &request, &id)
                    );
                    (request, id, [(Plane::Envoy, envoy), (Plane::Lateen, lateen)])
                });
            }
            let Some(done) = tasks.join_next().await else { break };
            results.push(done?);
        }
        if let Some(ended) = self.planes.ended() {
            anyhow::bail!("{ended}");
        }
        let mut observed: Vec<Sent> = results
            .into_iter()
            .map(|(request, id, replies)| {
                let both = replies.map(|(plane, reply)| (plane, Observed { reply, ..Observed::default() }));
                Sent { request, id, both }
            })
            .collect();
        self.read_lines(&mut observed).await?;
        self.ask_servers(&mut observed).await;
        self.count_shares(&observed);
        Ok(observed
            .into_iter()
            .map(|Sent { request, both: [(_, envoy), (_, lateen)], .. }| Seen {
                request,
                differences: compare(&envoy, &lateen),
                status: envoy.reply.status,
                end: envoy.reply.end,
            })
            .collect())
    }

    async fn read_lines(&mut self, observed: &mut [Sent]) -> Result<()> {
        let start = Instant::now();
        loop {
            for plane in Plane::ALL {
                for lines in self.planes.lines(plane) {
                    lines.refresh()?;
                    for sent in observed.iter_mut() {
                        let Some((_, seen)) = sent.both.iter_mut().find(|(of, _)| *of == plane) else {
                            continue;
                        };
                        if seen.line.is_none() {
                            seen.line = lines.take(&sent.id, seen.reply.port);
                        }
                    }
                }
            }
            let missing = |sent: &Sent| {
                sent.both.each_ref().map(|(_, seen)| seen.line.is_none() && seen.reply.end != End::Refused)
            };
            let limit = observed.iter().map(missing).map(|missing| match missing {
                [false, false] => Duration::ZERO,
                [true, true] => UNTOLD,
                _ => WRITTEN,
            });
            if start.elapsed() >= limit.max().unwrap_or_default() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Plane::ALL.into_iter().for_each(|plane| self.planes.lines(plane).for_each(|lines| lines.clear()));
        Ok(())
    }

    /// Copies that are sent beside a request may come after its answer.
    async fn ask_servers(&mut self, observed: &mut [Sent]) {
        let start = Instant::now();
        let differ = |sent: &Sent| {
            let [one, other] = Plane::ALL.map(|plane| self.memory.count(plane, &sent.id));
            one != other
        };
        while observed.iter().any(differ) && start.elapsed() < COPIED {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for sent in observed {
            for (plane, seen) in &mut sent.both {
                seen.backend = self.memory.take(*plane, &sent.id);
            }
        }
    }

    fn count_shares(&mut self, observed: &[Sent]) {
        for (plane, seen) in observed.iter().flat_map(|sent| &sent.both) {
            let cluster = seen.line.as_ref().and_then(|line| line.get("cluster"));
            if let Some((share, is_first)) = cluster.and_then(|cluster| share_of(cluster)) {
                let (first, all) = self.outcome.shares.entry((*plane, share)).or_default();
                *first += usize::from(is_first);
                *all += 1;
            }
        }
    }

    /// Shares that chance does not explain: further off than six standard
    /// deviations.
    async fn judge_shares(&mut self) {
        for ((plane, share), (first, all)) in self.outcome.shares.clone() {
            let (likely, all) = (f64::from(share) / 100.0, all as f64);
            let off = (first as f64 - all * likely).abs();
            if off > 6.0 * (all * likely * (1.0 - likely)).sqrt() + 1.0 {
                let kind = format!("share of {share} % through {}", plane.name());
                self.found(kind, || format!("{first} of {all}")).await;
            }
        }
    }

    async fn found(&mut self, kind: String, report: impl FnOnce() -> String) {
        let count = self.outcome.kinds.entry(kind.clone()).or_default();
        *count += 1;
        if *count == 1 {
            let report = report();
            eprintln!("\n# {kind}\n{report}");
            self.outcome.reports.push(report);
        }
    }

    async fn report(&mut self, case: &Case, request: &Request, differences: &[Difference]) -> Result<()> {
        let kind = kind(differences);
        let is_new = !self.outcome.kinds.contains_key(&kind);
        let (mut objects, mut request, mut differences) =
            (case.objects.clone(), request.clone(), differences.to_vec());
        if is_new && self.outcome.kinds.len() < PRINTED {
            eprintln!("seed {}: {kind}: making it small", case.seed);
            self.shrink(&mut objects, &mut request, &mut differences).await?;
            self.apply(&case.objects).await;
        }
        let text = || {
            let yaml: Vec<String> = objects.iter().map(yaml).collect();
            let list: Vec<String> = differences.iter().map(ToString::to_string).collect();
            format!(
                "seed {}\n{}\n--- to {}\n{}\n--- differs\n{}\n",
                case.seed,
                yaml.join("---\n"),
                request.to,
                request.describe().trim_end(),
                list.join("\n")
            )
        };
        self.found(kind, text).await;
        Ok(())
    }

    /// Takes away what is not needed for the difference to be seen.
    async fn shrink(
        &mut self,
        objects: &mut Vec<Value>,
        request: &mut Request,
        differences: &mut Vec<Difference>,
    ) -> Result<()> {
        let wanted = kind(differences);
        let deadline = Instant::now() + SHRINKING;
        'objects: loop {
            for smaller in smaller_objects(objects) {
                if Instant::now() > deadline {
                    break 'objects;
                }
                if self.apply(&smaller).await != Applied::Held {
                    continue;
                }
                if let Some(same) = self.lasting(request).await?.filter(|found| kind(found) == wanted) {
                    (*objects, *differences) = (smaller, same);
                    continue 'objects;
                }
            }
            break;
        }
        self.apply(objects).await;
        'request: loop {
            for smaller in smaller_requests(request).into_iter().filter(|_| Instant::now() < deadline) {
                if let Some(same) = self.lasting(&smaller).await?.filter(|found| kind(found) == wanted) {
                    (*request, *differences) = (smaller, same);
                    continue 'request;
                }
            }
            return Ok(());
        }
    }
}

/// A difference in one line.
fn brief(request: &Request, differences: &[Difference]) -> String {
    let first = differences.first().map(ToString::to_string).unwrap_or_default();
    let said = request.describe().lines().collect::<Vec<_>>().join("; ");
    format!("to {}: {said}: {first}", request.to)
}

/// An object as people may paste it; settings of access logs are long and
/// always the same.
fn yaml(object: &Value) -> String {
    match object["kind"].as_str() {
        Some("ConfigMap") => "# and lines of access logs in JSON, with every operator\n".to_owned(),
        _ => resources::yaml::to_yaml(object),
    }
}

/// What two differences have in common that have the same cause, as far as
/// can be told.
fn kind(differences: &[Difference]) -> String {
    let status = differences.iter().find(|difference| difference.at == "client/status");
    let (of_operators, others): (Vec<&str>, Vec<&str>) =
        differences.iter().map(|difference| difference.at.as_str()).partition(|at| at.starts_with("log/%"));
    let places = if others.is_empty() { of_operators } else { others };
    match status {
        Some(status) => format!("status {} for {}", status.lateen, status.envoy),
        None => places.into_iter().take(4).collect::<Vec<_>>().join(", "),
    }
}
