"""The site's service: admits what hubs ask for, keeps the ledger, lets one host process per system start servers."""
