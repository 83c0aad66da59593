//! The error that a guest gives instead of a response.

use encarno_wrpc::http::{Detail, HandlerError};
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode as WasiError;

/// The error that a guest gives instead of a response, in its wire form.
pub(super) fn handler_error(error: WasiError) -> HandlerError {
    let number = |number: Option<u32>| Detail::Number(number.map(u64::from));
    let name = error_name(&error);
    let detail = match error {
        WasiError::DnsError(dns) => Detail::Dns(dns.rcode, dns.info_code),
        WasiError::TlsAlertReceived(alert) => Detail::Alert(alert.alert_id, alert.alert_message),
        WasiError::HttpRequestBodySize(size) | WasiError::HttpResponseBodySize(size) => {
            Detail::Number(size)
        }
        WasiError::HttpRequestHeaderSectionSize(size)
        | WasiError::HttpRequestTrailerSectionSize(size)
        | WasiError::HttpResponseHeaderSectionSize(size)
        | WasiError::HttpResponseTrailerSectionSize(size) => number(size),
        WasiError::HttpRequestHeaderSize(size) => {
            Detail::Size(size.map(|size| (size.field_name, size.field_size)))
        }
        WasiError::HttpRequestTrailerSize(size)
        | WasiError::HttpResponseHeaderSize(size)
        | WasiError::HttpResponseTrailerSize(size) => {
            Detail::Size(Some((size.field_name, size.field_size)))
        }
        WasiError::HttpResponseTransferCoding(text)
        | WasiError::HttpResponseContentCoding(text)
        | WasiError::InternalError(text) => Detail::Text(text),
        _ => Detail::None,
    };
    HandlerError::new(name, detail).unwrap_or_else(HandlerError::internal)
}

/// The case's name in WIT.
fn error_name(error: &WasiError) -> &'static str {
    match error {
        WasiError::DnsTimeout => "DNS-timeout",
        WasiError::DnsError(_) => "DNS-error",
        WasiError::DestinationNotFound => "destination-not-found",
        WasiError::DestinationUnavailable => "destination-unavailable",
        WasiError::DestinationIpProhibited => "destination-IP-prohibited",
        WasiError::DestinationIpUnroutable => "destination-IP-unroutable",
        WasiError::ConnectionRefused => "connection-refused",
        WasiError::ConnectionTerminated => "connection-terminated",
        WasiError::ConnectionTimeout => "connection-timeout",
        WasiError::ConnectionReadTimeout => "connection-read-timeout",
        WasiError::ConnectionWriteTimeout => "connection-write-timeout",
        WasiError::ConnectionLimitReached => "connection-limit-reached",
        WasiError::TlsProtocolError => "TLS-protocol-error",
        WasiError::TlsCertificateError => "TLS-certificate-error",
        WasiError::TlsAlertReceived(_) => "TLS-alert-received",
        WasiError::HttpRequestDenied => "HTTP-request-denied",
        WasiError::HttpRequestLengthRequired => "HTTP-request-length-required",
        WasiError::HttpRequestBodySize(_) => "HTTP-request-body-size",
        WasiError::HttpRequestMethodInvalid => "HTTP-request-method-invalid",
        WasiError::HttpRequestUriInvalid => "HTTP-request-URI-invalid",
        WasiError::HttpRequestUriTooLong => "HTTP-request-URI-too-long",
        WasiError::HttpRequestHeaderSectionSize(_) => "HTTP-request-header-section-size",
        WasiError::HttpRequestHeaderSize(_) => "HTTP-request-header-size",
        WasiError::HttpRequestTrailerSectionSize(_) => "HTTP-request-trailer-section-size",
        WasiError::HttpRequestTrailerSize(_) => "HTTP-request-trailer-size",
        WasiError::HttpResponseIncomplete => "HTTP-response-incomplete",
        WasiError::HttpResponseHeaderSectionSize(_) => "HTTP-response-header-section-size",
        WasiError::HttpResponseHeaderSize(_) => "HTTP-response-header-size",
        WasiError::HttpResponseBodySize(_) => "HTTP-response-body-size",
        WasiError::HttpResponseTrailerSectionSize(_) => "HTTP-response-trailer-section-size",
        WasiError::HttpResponseTrailerSize(_) => "HTTP-response-trailer-size",
        WasiError::HttpResponseTransferCoding(_) => "HTTP-response-transfer-coding",
        WasiError::HttpResponseContentCoding(_) => "HTTP-response-content-coding",
        WasiError::HttpResponseTimeout => "HTTP-response-timeout",
        WasiError::HttpUpgradeFailed => "HTTP-upgrade-failed",
        WasiError::HttpProtocolError => "HTTP-protocol-error",
        WasiError::LoopDetected => "loop-detected",
        WasiError::ConfigurationError => "configuration-error",
        WasiError::InternalError(_) => "internal-error",
    }
}
