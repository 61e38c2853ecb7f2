"""What keys, members, organizations and plans may use: the fields that set it, and the answers when it binds."""
