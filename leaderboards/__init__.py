"""Boards, their verification and their pages."""
