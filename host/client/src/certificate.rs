//! Reasons for which the client does not accept a server's certificate.

use std::error::Error;

use rustls::CertificateError;

/// Name of the verifier's error for a certificate of an authority that a server uses as its own. It has no type.
const AUTHORITY_AS_SERVER: &str = "CaUsedAsEndEntity";

/// Returns the reason for which a connection failed at the server's certificate, with the remedy, or `None` if it failed
/// otherwise.
pub fn refusal(error: &reqwest::Error) -> Option<&'static str> {
    match tls_error(error)? {
        rustls::Error::InvalidCertificate(refused) => Some(reason(refused)),
        _ => None,
    }
}

/// Returns the error of TLS among the causes of an error.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    // An `io::Error` leaves its own error out of the chain of sources.
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let inner = inner.and_then(|inner| tls_error(inner as &(dyn Error + 'static)));
    inner.or_else(|| error.source().and_then(tls_error))
}

fn reason(refused: &CertificateError) -> &'static str {
    match refused {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet: check the clock of this machine"
        }
        CertificateError::UnknownIssuer => {
            "no authority that this machine trusts has issued it: name the authority's certificate with --ca-file"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name than this address: use an address that its subjectAltName has"
        }
        CertificateError::Other(other) if other.to_string().contains(AUTHORITY_AS_SERVER) => {
            "it is the certificate of an authority, as `openssl req -x509` makes by default, and not one of a server: make \
             it with -addext basicConstraints=critical,CA:FALSE and -addext subjectAltName=DNS:NAME"
        }
        _ => "it is not a valid certificate of a server",
    }
}
