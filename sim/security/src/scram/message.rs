//! The messages of the exchange: attributes, separated by commas.

use bytes::Bytes;

use super::from_base64;

/// The header of a client that uses no channel binding and authenticates as itself.
pub(super) const GS2_HEADER: &str = "n,,";

/// What a client says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientFirst<'a> {
    /// What comes before the message proper: channel binding, and on whose behalf.
    pub gs2_header: &'a str,
    /// The message proper.
    pub bare: &'a str,
    /// On whose behalf the client acts, if not its own.
    pub authorization_id: Option<String>,
    pub username: String,
    pub nonce: &'a str,
}

impl ClientFirst<'_> {
    pub fn parse(text: &str) -> Option<ClientFirst<'_>> {
        let (binding, rest) = text.split_once(',')?;
        let (authorization, bare) = rest.split_once(',')?;
        if !["n", "y"].contains(&binding) {
            return None;
        }
        let authorization_id = match authorization {
            "" => None,
            given => Some(unescape(given.strip_prefix("a=")?)?),
        };
        let (username, rest) = bare.split_once(',')?;
        let username = unescape(username.strip_prefix("n=")?)?;
        // Extensions may follow.
        let nonce = rest.split(',').next()?.strip_prefix("r=").filter(|nonce| !nonce.is_empty())?;
        let gs2_header = &text[..text.len() - bare.len()];
        Some(ClientFirst { gs2_header, bare, authorization_id, username, nonce })
    }
}

/// What a server answers to that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerFirst<'a> {
    pub nonce: &'a str,
    pub salt: Bytes,
    pub iterations: u32,
}

impl ServerFirst<'_> {
    pub fn parse(text: &str) -> Option<ServerFirst<'_>> {
        let mut attributes = text.split(',');
        let nonce = attributes.next()?.strip_prefix("r=")?;
        let salt = from_base64(attributes.next()?.strip_prefix("s=")?)?;
        let iterations = attributes.next()?.strip_prefix("i=")?.parse().ok().filter(|times| *times > 0)?;
        Some(ServerFirst { nonce, salt, iterations })
    }
}

/// The proof of a client that it knows the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientFinal<'a> {
    pub channel_binding: Bytes,
    pub nonce: &'a str,
    pub proof: Bytes,
    /// All but the proof.
    pub without_proof: &'a str,
}

impl ClientFinal<'_> {
    pub fn parse(text: &str) -> Option<ClientFinal<'_>> {
        let (without_proof, proof) = text.rsplit_once(",p=")?;
        let mut attributes = without_proof.split(',');
        let channel_binding = from_base64(attributes.next()?.strip_prefix("c=")?)?;
        let nonce = attributes.next()?.strip_prefix("r=")?;
        Some(ClientFinal { channel_binding, nonce, proof: from_base64(proof)?, without_proof })
    }
}

/// A user's name as it stands in a message.
pub(super) fn escape(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// The name that stands in a message so; `None` if none does.
fn unescape(text: &str) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('=') {
        name.push_str(before);
        name.push(match after.get(..2)? {
            "3D" => '=',
            "2C" => ',',
            _ => return None,
        });
        rest = &after[2..];
    }
    name.push_str(rest);
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_commas_and_equals_signs_survive() {
        for name in ["user", "a,b", "a=b", "=,=", "=3D"] {
            assert_eq!(unescape(&escape(name)).as_deref(), Some(name));
        }
        for wrong in ["", "a=", "a=2", "a=2c", "=ä"] {
            assert_eq!(unescape(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_no_message_is_none() {
        for wrong in ["", "n,,", "p=tls,,n=u,r=x", "n,,n=u", "n,,n=u,r=", "n,x,n=u,r=x", "n,,m=x,n=u,r=x"] {
            assert_eq!(ClientFirst::parse(wrong), None, "{wrong:?}");
        }
        let first = ClientFirst::parse("n,a=boss,n=user,r=abc,ext=1").expect("it is one");
        assert_eq!((first.gs2_header, first.authorization_id.as_deref()), ("n,a=boss,", Some("boss")));
        assert_eq!((first.username.as_str(), first.nonce), ("user", "abc"));
        for wrong in ["", "r=x", "r=x,s=!,i=4096", "r=x,s=QQ==,i=0", "r=x,s=QQ==,i=-1"] {
            assert_eq!(ServerFirst::parse(wrong), None, "{wrong:?}");
        }
        for wrong in ["", "c=biws", "c=biws,r=x", "c=!,r=x,p=QQ==", "c=biws,r=x,p=!"] {
            assert_eq!(ClientFinal::parse(wrong), None, "{wrong:?}");
        }
    }
}
