//! Options of actions beside their references: which secrets and agents they use, their hosts and limits.

use std::net::IpAddr;

use super::schema::Action;
use crate::document::{At, Fault};

impl Action {
    /// The names of the secrets that it uses, each with whether it may be missing.
    pub fn secrets(&self) -> Vec<(&At<String>, bool)> {
        let mounts = self.mounts.iter().filter_map(|mount| {
            let secret = mount.value.secret.as_ref()?;
            Some((secret, mount.value.optional))
        });
        let git = self.git.iter();
        let git = git.flat_map(|git| git.token.iter().chain(&git.header));
        let build = self.build.iter().flat_map(|build| &build.secrets);
        let needed = git.chain(build).map(|secret| (secret, false));
        mounts.chain(needed).collect()
    }

    /// Makes it do without these secrets.
    pub(super) fn do_without(&mut self, gone: &[String]) {
        let is_gone = |name: &At<String>| gone.contains(&name.value);
        for mount in &mut self.mounts {
            mount.value.optional |= mount.value.secret.as_ref().is_some_and(is_gone);
        }
        if let Some(build) = &mut self.build {
            build.secrets.retain(|name| !is_gone(name));
        }
        if let Some(git) = &mut self.git {
            git.token = git.token.take().filter(|name| !is_gone(name));
            git.header = git.header.take().filter(|name| !is_gone(name));
        }
    }

    /// The names of the ssh agents that it uses.
    pub fn agents(&self) -> Vec<&str> {
        let mounts = self.mounts.iter();
        let mounts = mounts.filter_map(|mount| mount.value.ssh.as_deref());
        let build = self.build.iter().flat_map(|build| &build.ssh);
        let git = self.git.iter().filter_map(|git| git.agent());
        mounts.chain(build.map(String::as_str)).chain(git).collect()
    }
}

impl super::schema::Git {
    /// The address of one that is fetched over ssh, `git@HOST:PATH` written in full.
    pub fn over_ssh(&self) -> Option<String> {
        let url = &self.url.value;
        if url.starts_with("ssh://") {
            return Some(url.clone());
        }
        let (host, path) = url.split_once(':')?;
        let short = host.contains('@') && !host.contains('/') && !path.starts_with("//");
        short.then(|| format!("ssh://{host}/{}", path.trim_start_matches('/')))
    }

    /// The agent that it is fetched with.
    pub fn agent(&self) -> Option<&str> {
        self.over_ssh()
            .map(|_| self.ssh.as_deref().unwrap_or("default"))
    }
}

/// A limit, soft and hard, of `SOFT` or `SOFT:HARD`; -1 stands for none.
pub fn ulimit(text: &str) -> Option<(i64, i64)> {
    let (soft, hard) = text.split_once(':').unwrap_or((text, text));
    let (soft, hard) = (soft.parse().ok()?, hard.parse().ok()?);
    (soft >= -1 && hard >= -1 && (hard == -1 || (soft != -1 && soft <= hard)))
        .then_some((soft, hard))
}

/// Checks the options whose texts have a form of their own.
pub(super) fn check(action: &Action) -> Result<(), Fault> {
    for (name, address) in &action.hosts {
        if address.value.parse::<IpAddr>().is_err() {
            let message = format!("`{}` of the host `{name}` is no address", address.value);
            let fault = Fault::new(address.at, message);
            return Err(fault.help("write an IPv4 or IPv6 address, e.g. `10.0.0.7`"));
        }
    }
    for (name, limit) in &action.ulimits {
        if ulimit(&limit.value.0).is_none() {
            let message = format!("`{}` of `{name}` is no limit", limit.value.0);
            let fault = Fault::new(limit.at, message);
            return Err(
                fault.help("write `SOFT` or `\"SOFT:HARD\"`, the soft one not above the hard one")
            );
        }
    }
    let Some(git) = &action.git else {
        return Ok(());
    };
    let ssh = git.over_ssh().is_some();
    for (what, there, wanted) in [
        ("token", git.token.is_some(), "https"),
        ("header", git.header.is_some(), "https"),
        ("ssh", git.ssh.is_some(), "ssh"),
        ("known_hosts", git.known_hosts.is_some(), "ssh"),
    ] {
        if there && ssh != (wanted == "ssh") {
            let message = format!("`{what}` is for repositories that are fetched over {wanted}");
            return Err(Fault::new(git.url.at, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ulimit;

    #[test]
    fn limits_are_one_number_or_two() {
        for (text, read) in [
            ("1024", Some((1024, 1024))),
            ("1:2", Some((1, 2))),
            ("5:-1", Some((5, -1))),
            ("-1", Some((-1, -1))),
            ("2:1", None),
            ("-1:7", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(ulimit(text), read, "{text}");
        }
    }
}
