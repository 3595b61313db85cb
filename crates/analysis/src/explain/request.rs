//! The request that is asked about.

use routing::headers::RequestHead;

/// A request head as a client would send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Host, with its port if one was written.
    pub authority: String,
    /// `http` or `https`.
    pub scheme: String,
    /// The host alone.
    pub host: String,
    /// The port to connect to.
    pub port: u16,
    /// Headers; names in lower case.
    pub headers: Vec<(String, String)>,
}

/// The URL or a header cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No scheme, or another than HTTP's.
    #[error("`{0}` is no URL of a mesh: write http://HOST[:PORT]/PATH")]
    Url(String),
    /// The port is no number below 65536.
    #[error("`{0}` is no port")]
    Port(String),
    /// A header without its colon.
    #[error("`{0}` is no header: write NAME: VALUE")]
    Header(String),
}

impl Request {
    /// Reads `http://host:port/path` and headers written `Name: value`.
    pub fn parse(method: &str, url: &str, headers: &[String]) -> Result<Self, RequestError> {
        let invalid = || RequestError::Url(url.to_owned());
        let (scheme, rest) = url.split_once("://").ok_or_else(invalid)?;
        let default_port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return Err(invalid()),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let path_at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(path_at);
        if authority.is_empty() {
            return Err(invalid());
        }
        let (host, port) = host_and_port(authority, default_port)?;
        let headers = headers.iter().map(|line| header(line)).collect::<Result<Vec<_>, _>>()?;
        let told = headers.iter().find(|(name, _)| name == "host").map(|(_, value)| value.clone());
        Ok(Self {
            method: method.to_ascii_uppercase(),
            path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
            authority: told.unwrap_or_else(|| authority.to_owned()),
            scheme: scheme.to_owned(),
            host,
            port,
            headers: headers.into_iter().filter(|(name, _)| name != "host").collect(),
        })
    }
}

fn host_and_port(authority: &str, default_port: u16) -> Result<(String, u16), RequestError> {
    let port_at = match authority.rfind(':') {
        Some(at) if !authority[at..].contains(']') => at,
        _ => return Ok((authority.to_owned(), default_port)),
    };
    let port = &authority[port_at + 1..];
    let port = port.parse().map_err(|_| RequestError::Port(port.to_owned()))?;
    Ok((authority[..port_at].to_owned(), port))
}

fn header(line: &str) -> Result<(String, String), RequestError> {
    let (name, value) = line.split_once(':').ok_or_else(|| RequestError::Header(line.to_owned()))?;
    Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}

impl RequestHead for Request {
    fn method(&self) -> &str {
        &self.method
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn authority(&self) -> &str {
        &self.authority
    }

    fn scheme(&self) -> &str {
        &self.scheme
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_bytes())
    }
}

#[cfg(test)]
mod tests;
