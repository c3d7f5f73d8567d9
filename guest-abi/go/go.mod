module alga

go 1.27
