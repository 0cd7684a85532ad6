"""Whoever asks only whether a daemon answers believes any certificate, and reads no authorities for it."""

from __future__ import annotations

import ssl

from mailu.daemons.asking import any_certificate


def test_any_certificate_is_taken_and_no_authority_is_read() -> None:
    context = any_certificate()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)
    assert context.cert_store_stats() == {"x509": 0, "crl": 0, "x509_ca": 0}
