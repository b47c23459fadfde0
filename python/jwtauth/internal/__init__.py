"""How jwtauth works inside. Nothing here is public: names and modules change without notice."""
