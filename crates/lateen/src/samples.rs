//! The YAML of `samples/`, inside the binary.

/// A bundled file.
#[derive(Debug)]
pub struct Sample {
    /// Below `samples/`: `bookinfo/networking/virtual-service-all-v1.yaml`.
    pub path: &'static str,
    /// Its whole text.
    pub text: &'static str,
}

static SAMPLES: &[Sample] = &include!(concat!(env!("OUT_DIR"), "/samples.rs"));

/// What `lateen up` starts without `-f`.
pub const DEFAULT: [&str; 2] =
    ["bookinfo/platform/kube/bookinfo.yaml", "bookinfo/networking/bookinfo-gateway.yaml"];

/// No one sample has that name.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// None has it.
    #[error("no bundled sample `@{name}`: nearest are {nearest}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names that share a part of it.
        nearest: String,
    },
    /// Several have it.
    #[error("`@{name}` could be {candidates}: write more of its path")]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Which ones.
        candidates: String,
    },
}

/// The sample of that name: a path below `samples/`, or the end of one, with or
/// without `.yaml`.
pub fn find(name: &str) -> Result<&'static Sample, SampleError> {
    let wanted = name.strip_suffix(".yaml").unwrap_or(name);
    let found: Vec<&Sample> = SAMPLES.iter().filter(|sample| is_named(sample.path, wanted)).collect();
    match found.as_slice() {
        [sample] => Ok(sample),
        [] => Err(SampleError::Unknown { name: name.to_owned(), nearest: nearest(wanted) }),
        several => {
            Err(SampleError::Ambiguous { name: name.to_owned(), candidates: list(several.iter().copied()) })
        }
    }
}

fn is_named(path: &str, wanted: &str) -> bool {
    let stem = path.strip_suffix(".yaml").unwrap_or(path);
    stem == wanted || stem.strip_suffix(wanted).is_some_and(|before| before.ends_with('/'))
}

/// The five that share most words with `wanted`.
fn nearest(wanted: &str) -> String {
    let words: Vec<&str> = wanted.split(['-', '/']).filter(|word| !word.is_empty()).collect();
    let mut ranked: Vec<(usize, &Sample)> = SAMPLES
        .iter()
        .map(|sample| (words.iter().filter(|word| sample.path.contains(**word)).count(), sample))
        .collect();
    ranked.sort_by_key(|(score, sample)| (std::cmp::Reverse(*score), sample.path));
    list(ranked.into_iter().take(5).map(|(_, sample)| sample))
}

fn list<'a>(samples: impl Iterator<Item = &'a Sample>) -> String {
    let names: Vec<String> = samples
        .map(|sample| {
            let file = sample.path.rsplit('/').next().unwrap_or(sample.path);
            format!("@{}", file.strip_suffix(".yaml").unwrap_or(file))
        })
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
